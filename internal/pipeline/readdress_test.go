package pipeline_test

import (
	"database/sql"
	"strings"
	"testing"

	"usersync/internal/identity"
	"usersync/internal/intake"
	"usersync/internal/pipeline"
	"usersync/internal/request"
	"usersync/internal/store"
	"usersync/internal/user"
	"usersync/internal/usersync"
)

// name accepts a request that names a user beside an address, as a task of its own.
func (h *hall) name(t *testing.T, id, address string) (req string) {
	t.Helper()
	email, err := identity.ParseEmail(address)
	must(t, err)
	in := usersync.UserInput{UserID: id, Email: email, Country: "US"}
	req = usersync.NewID(usersync.PrefixRequest)
	h.accept(t, &intake.Acceptance{RequestID: req, Kind: request.KindUserSync, Salt: h.salt, User: intake.NewUser{UserInput: in, Identity: user.IdentityOf(in)}})
	return req
}

// runAll claims and works runs until none is ready.
func (h *hall) runAll(t *testing.T, db *sql.DB) {
	t.Helper()
	for rest(t, db) > 0 {
		must(t, h.handler(t, pipeline.Run.Name).Work(t.Context(), h.claimRun(t)))
	}
}

func (h *hall) address(t *testing.T, id string) string {
	t.Helper()
	u, err := user.Get(t.Context(), h.org, id)
	must(t, err)
	return u.Email.Key()
}

func TestAUserWithAnotherAddressIsNoColleagueOfTheirOwn(t *testing.T) {
	t.Parallel()
	eachHall(t, func(t *testing.T, h *hall, db *sql.DB, _ func() *store.Store) {
		first := h.sync(t, []string{"ann@acme.example"})
		h.runAll(t, db)
		ann := h.report(t, first[0]).UserID
		moved := h.name(t, ann, "ann.new@acme.example")
		h.runAll(t, db)
		r := h.report(t, moved)
		if r.UserID != ann || h.address(t, ann) != "ann.new@acme.example" || r.Steps[0].Details != "No colleagues found" {
			t.Errorf("%+v, the address is %s", r, h.address(t, ann))
		}
	})
}

func TestTheNewestRequestSaysTheAddress(t *testing.T) {
	t.Parallel()
	eachHall(t, func(t *testing.T, h *hall, db *sql.DB, _ func() *store.Store) {
		first := h.sync(t, []string{"ann@acme.example"})
		h.runAll(t, db)
		ann := h.report(t, first[0]).UserID
		older := h.name(t, ann, "older@acme.example")
		_, err := db.ExecContext(t.Context(), `UPDATE outbox SET state = 'scheduled' WHERE queue = 'run'`)
		must(t, err)
		h.name(t, ann, "newer@acme.example")
		must(t, h.handler(t, pipeline.Run.Name).Work(t.Context(), h.claimRun(t)))
		_, err = db.ExecContext(t.Context(), `UPDATE outbox SET state = 'ready' WHERE queue = 'run'`)
		must(t, err)
		h.runAll(t, db)
		if r := h.report(t, older); h.address(t, ann) != "newer@acme.example" || strings.Contains(r.Steps[0].Details, "former address") {
			t.Errorf("%+v, the address is %s", r.Steps[0], h.address(t, ann))
		}
	})
}
