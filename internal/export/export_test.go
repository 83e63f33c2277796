package export_test

import (
	"database/sql"
	"strings"
	"testing"

	"usersync/internal/credit"
	"usersync/internal/directory"
	"usersync/internal/export"
	"usersync/internal/roomtest"
	"usersync/internal/store"
	"usersync/internal/usersync"
)

// A request is shown with what was said of the user and what was charged, and without
// the organization's balance; page by page, and to its organization only.
func TestRequestsAreExportedWithInputAndChargeToTheirOrganizationOnly(t *testing.T) {
	t.Parallel()
	roomtest.Each(t, 9, func(t *testing.T, n roomtest.Tenant) {
		other := roomtest.New(t, n.Store, 9)
		org := n.Org(n.Organization.ID)
		paid, free := n.Acceptance("ann@acme.example"), n.Acceptance("ann@acme.example")
		n.Accept(t, n.Submission(paid), n.Submission(free))
		err := n.Tx(t.Context(), func(tx *store.Tx) error {
			account, err := credit.Lock(t.Context(), tx, org.ID())
			if err != nil {
				return err
			}
			if err := credit.Charge(t.Context(), tx, &account, []string{paid.RequestID}); err != nil {
				return err
			}
			return credit.Save(t.Context(), tx, account)
		})
		if err != nil {
			t.Fatal(err)
		}
		byID := map[string]export.Request{}
		after := ""
		for range 2 {
			page, err := export.Requests(t.Context(), org, paid.UserID, after, 1)
			if err != nil || len(page) != 1 || page[0].RequestID <= after {
				t.Fatalf("%+v %v", page, err)
			}
			after = page[0].RequestID
			byID[after] = page[0]
		}
		for id, charged := range map[string]bool{paid.RequestID: true, free.RequestID: false} {
			q := byID[id]
			if q.View == nil || !strings.Contains(string(q.Input), `"country":"US"`) || (q.Charge != nil) != charged || q.Credits.Balance != nil {
				t.Errorf("%+v with input %s and charge %+v", q.View, q.Input, q.Charge)
			}
		}
		if page, err := export.Requests(t.Context(), n.Org(other.Organization.ID), paid.UserID, "", 10); err != nil || len(page) != 0 {
			t.Errorf("another organization exports %+v %v", page, err)
		}
	})
}

func TestADirectoryEntryIsFoundByItsAddress(t *testing.T) {
	t.Parallel()
	roomtest.Engines(t, func(t *testing.T, s *store.Store, _ *sql.DB) {
		n, other := roomtest.New(t, s, 0), roomtest.New(t, s, 0)
		ann, bob := usersync.NewEmail("Ann@acme.example", "ann@acme.example"), usersync.NewEmail("bob@acme.example", "bob@acme.example")
		if err := directory.SavePeople(t.Context(), n.Org(n.Organization.ID), n.Organization.Salt, []directory.Person{{Email: ann, Name: "Ann"}}); err != nil {
			t.Fatal(err)
		}
		for _, test := range []struct {
			of    roomtest.Tenant
			email usersync.Email
			found bool
		}{{n, ann, true}, {n, bob, false}, {other, ann, false}} {
			entry, err := export.FindDirectoryEntry(t.Context(), test.of.Org(test.of.Organization.ID), test.email)
			if err != nil || (entry != nil) != test.found || test.found && (entry.Name != "Ann" || entry.Email.Display() != "Ann@acme.example") {
				t.Errorf("%+v %v", entry, err)
			}
		}
	})
}
