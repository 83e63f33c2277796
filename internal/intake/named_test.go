package intake_test

import (
	"database/sql"
	"testing"

	"usersync/internal/intake"
	"usersync/internal/request"
	"usersync/internal/roomtest"
	"usersync/internal/store"
	"usersync/internal/user"
	"usersync/internal/usersync"
)

// naming is a user-sync of somebody at a company whom the caller names by an id.
func naming(n roomtest.Tenant, id, email string) *intake.Acceptance {
	a := n.Acceptance(email)
	a.User.UserID = id
	return a
}

func TestARequestThatNamesItsUserMakesNoOther(t *testing.T) {
	t.Parallel()
	roomtest.Engines(t, func(t *testing.T, s *store.Store, db *sql.DB) {
		n, other := roomtest.New(t, s, 5), roomtest.New(t, s, 5)
		ann, stranger := n.Acceptance("ann@acme.example"), other.Acceptance("ann@acme.example")
		n.Accept(t, n.Submission(ann))
		other.Accept(t, other.Submission(stranger))
		// In one commit: a user who is known, one of another organization, and each with
		// somebody whom the same address names.
		named, foreign, plain := naming(n, ann.UserID, "new@acme.example"), naming(n, stranger.UserID, "bob@acme.example"), n.Acceptance("new@acme.example")
		theirs := naming(other, stranger.UserID, "else@acme.example")
		n.Accept(t, n.Submission(named, foreign, plain), other.Submission(theirs))
		if named.UserID != ann.UserID || theirs.UserID != stranger.UserID {
			t.Errorf("who was named is %s and %s, want %s and %s", named.UserID, theirs.UserID, ann.UserID, stranger.UserID)
		}
		if foreign.UserID == stranger.UserID || plain.UserID == ann.UserID {
			t.Errorf("another organization's user was taken: %v, or the address counted as the one who was named: %v", foreign.UserID, plain.UserID)
		}
		if users := roomtest.Count(t, db, `SELECT count(*) FROM users`); users != 4 {
			t.Errorf("%d users, want the two first ones, bob and new", users)
		}
		if wrong := roomtest.Count(t, db, `SELECT count(*) FROM requests q WHERE NOT EXISTS (SELECT 1 FROM users u WHERE u.id = q.user_id AND u.organization_id = q.organization_id)`); wrong != 0 {
			t.Errorf("%d requests are of no user of their organization", wrong)
		}
	})
}

// A commit is repeated with other ids when the derived id of a new user belongs to somebody
// whose address has changed. Requests about users who are known keep theirs.
func TestARepetitionWithOtherIDsLeavesThoseWhoAreKnown(t *testing.T) {
	t.Parallel()
	roomtest.Each(t, 5, func(t *testing.T, n roomtest.Tenant) {
		first := n.Acceptance("ann@acme.example")
		n.Accept(t, n.Submission(first))
		email := usersync.NewEmail("new@acme.example", "new@acme.example")
		err := n.Tx(t.Context(), func(tx *store.Tx) error {
			_, err := user.ChangeAddress(t.Context(), tx, n.Organization.ID, first.UserID, email, 0)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		again, named := n.Acceptance("ann@acme.example"), naming(n, first.UserID, "newer@acme.example")
		asking := &intake.Acceptance{RequestID: usersync.NewID(usersync.PrefixRequest), Kind: request.KindPlatformSync, Input: []byte(`{}`), UserID: first.UserID,
			User: intake.NewUser{UserInput: usersync.UserInput{Email: email}}}
		n.Accept(t, n.Submission(again, named), n.Submission(asking))
		if again.UserID == first.UserID || again.UserID == "" || named.UserID != first.UserID {
			t.Errorf("a new user %s and one who was named %s, where %s is known", again.UserID, named.UserID, first.UserID)
		}
		u := n.Submission(asking)
		u.Replayed, u.Accepted = true, []*intake.Acceptance{asking}
		asking.UserID = ""
		if err := intake.FillReplays(t.Context(), n.Store, []*intake.Submission{u}); err != nil || asking.UserID != first.UserID {
			t.Errorf("a request about a user who is known is kept as about %q, want %s: %v", asking.UserID, first.UserID, err)
		}
	})
}
