package audit_test

import (
	"database/sql"
	"errors"
	"slices"
	"testing"

	"usersync/internal/audit"
	"usersync/internal/roomtest"
	"usersync/internal/store"
)

var errHalfway = errors.New("halfway")

func TestAChangeThatWasRolledBackIsNotInTheAuditLog(t *testing.T) {
	t.Parallel()
	roomtest.Engines(t, func(t *testing.T, s *store.Store, _ *sql.DB) {
		for _, end := range []error{errHalfway, nil} {
			err := s.Tx(t.Context(), func(tx *store.Tx) error {
				return errors.Join(audit.Record(t.Context(), tx, "org_1", "key_1", "thing.change", "thing_1", "name", "url"), end)
			})
			if !errors.Is(err, end) {
				t.Fatal(err)
			}
		}
		list, err := audit.List(t.Context(), s, "org_1", "", 10)
		if err != nil || len(list) != 1 {
			t.Fatalf("%+v %v", list, err)
		}
		e := list[0]
		if e.Actor != "key_1" || e.Action != "thing.change" || e.Object != "thing_1" || !slices.Equal(e.Fields, []string{"name", "url"}) {
			t.Errorf("%+v", e)
		}
	})
}

// An organization sees its own lines, an operator all of them; newest first, page by page.
func TestTheAuditLogIsListedByOrganizationNewestFirst(t *testing.T) {
	t.Parallel()
	roomtest.Engines(t, func(t *testing.T, s *store.Store, _ *sql.DB) {
		for _, object := range []string{"a", "b", "c"} {
			err := s.Tx(t.Context(), func(tx *store.Tx) error {
				return errors.Join(audit.Record(t.Context(), tx, "org_1", "k", "x", object), audit.Record(t.Context(), tx, "org_2", "k", "x", object))
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := audit.Note(t.Context(), s, "operator", "keys.rewrap", "all"); err != nil {
			t.Fatal(err)
		}
		var objects []string
		before := ""
		for range 3 {
			page, err := audit.List(t.Context(), s, "org_1", before, 1)
			if err != nil || len(page) != 1 || len(page[0].Fields) != 0 || page[0].Organization != "org_1" {
				t.Fatalf("%+v %v", page, err)
			}
			objects, before = append(objects, page[0].Object), page[0].ID
		}
		if !slices.Equal(objects, []string{"c", "b", "a"}) {
			t.Errorf("the lines are %v", objects)
		}
		if all, err := audit.List(t.Context(), s, "", "", 10); err != nil || len(all) != 7 || all[0].Actor != "operator" {
			t.Errorf("an operator sees %d lines, %v", len(all), err)
		}
	})
}
