// Package inbound takes in what platforms tell by webhooks: the secret addresses at which
// they call, what they told until a worker has it, and what becomes of that.
package inbound
