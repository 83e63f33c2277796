// Package api is the edge: everything between a socket and a dialect. It names
// each call, finds out who calls, holds them to their rate, reads what they
// send, writes the one log line, and turns errors into answers. What a call
// means is the dialects' matter. It owns Echo.
package api
