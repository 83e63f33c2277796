package request

import (
	"slices"

	"usersync/internal/store"
	"usersync/internal/usersync"
)

// Kind says what a request asks for.
type Kind string

// The kinds of requests.
const (
	KindUserSync Kind = "user-sync"
	// KindPlatformSync pushes one known user to the platforms, now.
	KindPlatformSync Kind = "platform-sync"
	// KindPlatformBulk pushes many known users to one connection.
	KindPlatformBulk Kind = "platform-bulk"
	// KindEvent takes in an event, and runs the follow-ups that it sets off.
	KindEvent Kind = "event"
)

// Kinds lists every kind.
var Kinds = []Kind{KindUserSync, KindPlatformSync, KindPlatformBulk, KindEvent}

// Paid reports whether requests of this kind need credits.
func (k Kind) Paid() bool { return k == KindUserSync }

// Valid reports whether k is one of the kinds.
func (k Kind) Valid() bool { return slices.Contains(Kinds, k) }

// ErrNotFound is the refusal of an id that names no request of the organization.
var ErrNotFound = usersync.Errorf(usersync.CodeNotFound, "Request not found")

// ErrErased is the refusal to work, or to send, what was erased.
var ErrErased = usersync.Errorf(usersync.CodeConflict, "The user was erased.")

// IDRows names requests of one organization. The organization stands in
// each row, not beside them: as a condition of its own PostgreSQL may take it
// alone into the index, and read all that the organization has.
func IDRows(st *store.Statement, organization string, ids []string) *store.Rows {
	set := st.Rows(len(ids))
	for _, id := range ids {
		set.Add(organization, id)
	}
	return set
}
