// Package management holds the operations that the management API and the command
// line share: organizations, their keys, credits, webhook endpoints and connections.
package management

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"usersync/internal/connector"
	"usersync/internal/mail"
	"usersync/internal/outbound"
	"usersync/internal/store"
	"usersync/internal/usersync"
)

// Service carries out operators' and tenants' administrative calls.
type Service struct {
	Store *store.Store
	Guard *outbound.Guard
	Mail  *mail.Sender
	// Platforms are those that connections can be made to.
	Platforms []connector.Platform
	// Calls makes the client that a connection is checked with: one without a
	// breaker, as somebody wants to know how things are now.
	Calls func() *connector.Client
}

// invalid collects what is wrong with the fields of an input.
type invalid []usersync.FieldError

func (v *invalid) add(field, format string, args ...any) {
	*v = append(*v, usersync.FieldError{Field: field, Message: fmt.Sprintf(format, args...)})
}

func (v invalid) err() error {
	if len(v) == 0 {
		return nil
	}
	parts := make([]string, len(v))
	for i, f := range v {
		parts[i] = f.Field + " " + f.Message
	}
	return &usersync.Error{Code: usersync.CodeInvalid, Message: strings.Join(parts, "; "), Fields: v}
}

// tooLong reports whether s has more than maxText characters.
func tooLong(s string) bool { return utf8.RuneCountInString(s) > maxText }

// Limits of what an operator may write.
const (
	maxText   = 200  // characters of a name, a reference or a description
	maxLink   = 2048 // bytes
	maxAmount = 1_000_000_000
)
