package directory_test

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"usersync/internal/directory"
	"usersync/internal/rowfile"
	"usersync/internal/store"
	"usersync/internal/store/storetest"
	"usersync/internal/usersync"
)

func TestAnUploadThatBreaksOffLeavesNothing(t *testing.T) {
	t.Parallel()
	storetest.Engines(t, func(t *testing.T, open func() *store.Store) {
		s := open()
		o, err := s.CreateOrganization(t.Context(), "test", usersync.Organization{Name: "Acme"})
		if err != nil {
			t.Fatal(err)
		}
		org := s.Org(o.ID)
		d := &directory.Service{Store: s}
		file := "email\n" + strings.Repeat("ann@acme.example.com\n", 100_000)
		broken := errors.New("broken")
		upload := directory.Upload{Format: rowfile.CSV, Actor: "test", Body: io.MultiReader(strings.NewReader(file), iotest.ErrReader(broken))}
		if _, err := d.Receive(t.Context(), org, upload); !errors.Is(err, broken) {
			t.Errorf("%v", err)
		}
		if dropped, err := s.DropAbandonedImports(t.Context(), 10); err != nil || dropped != 0 {
			t.Errorf("%d uploads left, %v", dropped, err)
		}
		if list, err := org.Imports(t.Context(), "", 10); err != nil || len(list) != 0 {
			t.Errorf("%v %v", list, err)
		}
		state, err := s.OutboxState(t.Context())
		if err != nil || state.Ready != 0 {
			t.Errorf("%+v %v", state, err)
		}
	})
}
