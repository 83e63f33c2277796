// Package platform owns the connections to platforms and what is pushed over them:
// which user in which version, who waits for it, and the pusher that makes the calls
// (docs/adr/0011).
package platform
