// Package request is what clients poll: kind, status and steps, the rules by which they
// move, and how a request is shown.
package request
