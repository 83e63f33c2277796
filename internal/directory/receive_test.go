package directory_test

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"usersync/internal/directory"
	"usersync/internal/importfile"
	"usersync/internal/outbox"
	"usersync/internal/roomtest"
	"usersync/internal/usersync"
)

func TestAnUploadThatBreaksOffLeavesNothing(t *testing.T) {
	t.Parallel()
	roomtest.Each(t, 0, func(t *testing.T, n roomtest.Tenant) {
		org := n.Org(n.Organization.ID)
		d := &directory.Service{Store: n.Store}
		file := "email\n" + strings.Repeat("ann@acme.example.com\n", 100_000)
		broken := errors.New("broken")
		upload := directory.Upload{Format: importfile.CSV, Actor: "test", Body: io.MultiReader(strings.NewReader(file), iotest.ErrReader(broken))}
		if _, err := d.Receive(t.Context(), org, upload); !errors.Is(err, broken) {
			t.Errorf("%v", err)
		}
		if dropped, err := directory.DropAbandonedImports(t.Context(), n.Store, 10); err != nil || dropped != 0 {
			t.Errorf("%d uploads left, %v", dropped, err)
		}
		if list, err := directory.ListImports(t.Context(), org, "", 10); err != nil || len(list) != 0 {
			t.Errorf("%v %v", list, err)
		}
		state, err := outbox.Count(t.Context(), n.Store)
		if err != nil || state.Ready != 0 {
			t.Errorf("%+v %v", state, err)
		}
	})
}

func TestAnUploadOfTooManyLinesIsRefusedAndLeavesNothing(t *testing.T) {
	t.Parallel()
	roomtest.Each(t, 0, func(t *testing.T, n roomtest.Tenant) {
		org := n.Org(n.Organization.ID)
		d := &directory.Service{Store: n.Store, MaxLines: 1201}
		for lines, want := range map[int]usersync.Code{1200: "", 1201: usersync.CodeInvalid} {
			upload := directory.Upload{Format: importfile.CSV, Actor: "test", Body: strings.NewReader("email\n" + strings.Repeat("x\n", lines))}
			if _, err := d.Receive(t.Context(), org, upload); usersync.CodeOf(err) != want {
				t.Errorf("%d lines: %v", lines, err)
			}
		}
		if list, err := directory.ListImports(t.Context(), org, "", 10); err != nil || len(list) != 1 || list[0].Lines != 1200 {
			t.Errorf("%+v %v", list, err)
		}
	})
}
