// Package outbound makes every connection to the outside: it decides which
// addresses may be dialled, bounds time and size, and turns what can go wrong
// into a code. It follows no redirect, keeps no cookie, uses no proxy and tries
// nothing twice: whether and when to try again is decided by the queue.
package outbound
