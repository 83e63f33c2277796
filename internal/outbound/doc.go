// Package outbound makes every connection to the outside. It decides which addresses
// may be dialled, bounds time and size, and gives every failure a code. It follows no
// redirect, keeps no cookie, uses no proxy and tries nothing twice. The queue decides
// whether and when to try again.
package outbound
