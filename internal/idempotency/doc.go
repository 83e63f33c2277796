// Package idempotency keeps the answers of calls that must not be made twice, by the
// key that their caller sent (docs/adr/0010).
package idempotency
