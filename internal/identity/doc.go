// Package identity says who a person is as far as an address, a country and a
// job title tell: the identity of an e-mail address, the company behind it,
// whether it is anybody's work address at all, the country's code, and the
// department and rank a title stands for. All of it is pure: same input, same
// answer, no clock, no network.
package identity

//go:generate go run ./generate
