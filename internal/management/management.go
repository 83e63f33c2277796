// Package management holds the operations that the dialects and the command line
// share. Each noun has a file: organizations, keys, credits, webhook endpoints,
// connections, requests and so on. Handlers call nothing below it.
package management

import (
	"context"
	"fmt"
	"strings"
	"unicode/utf8"

	"usersync/internal/connector"
	"usersync/internal/mail"
	"usersync/internal/outbound"
	"usersync/internal/store"
	"usersync/internal/usersync"
)

// Service carries out what operators and tenants ask for. A method that takes a
// *store.Org sees the rows of that organization only.
type Service struct {
	Store *store.Store
	Guard *outbound.Guard
	Mail  *mail.Sender
	// Platforms are those that connections can be made to.
	Platforms []connector.Platform
	// Hub makes the calls that check a connection. It is nil on the command line.
	Hub *connector.Hub
	// Queues are the task queues. It is nil on the command line.
	Queues Queues
}

// mayWrite refuses a caller whose key has ended, see store.Org.Guarded. It stands ahead
// of calls to the outside, which no transaction could undo.
func mayWrite(ctx context.Context, org *store.Org) error {
	return org.Tx(ctx, func(*store.Tx) error { return nil })
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
