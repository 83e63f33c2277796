// Package usersync is the vocabulary of the service: the types, statuses and
// pure rules that every other package speaks in. It imports the standard
// library only.
package usersync
