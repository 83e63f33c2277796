// Package credit is the money: a balance for each organization, an append-only ledger
// whose sum it is, and the rule that a request is charged once at most.
package credit
