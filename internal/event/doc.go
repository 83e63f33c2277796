// Package event keeps what happened to users.
package event
