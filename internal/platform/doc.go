// Package platform owns the connections to platforms and what is to be pushed over them:
// which user in which version, and who waits for it. Package pusher makes the calls.
package platform
