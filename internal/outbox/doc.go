// Package outbox is the list of what is to be done: rows written in the transaction of a
// change, from which tasks are made, and the claims under which workers do them.
package outbox
