package directory_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"usersync/internal/directory"
	"usersync/internal/importfile"
	"usersync/internal/outbox"
	"usersync/internal/queue"
	"usersync/internal/store"
	"usersync/internal/store/storetest"
	"usersync/internal/tenant"
	"usersync/internal/usersync"
)

// chunks is how many chunks the file of an upload fills, with 500 lines each.
const chunks = 4

func upload(t *testing.T, s *store.Store) (org *store.Org, id string) {
	t.Helper()
	o, err := tenant.Create(t.Context(), s, "test", tenant.Organization{Name: "Acme"})
	if err != nil {
		t.Fatal(err)
	}
	var file strings.Builder
	for i := range chunks * 500 {
		_, _ = fmt.Fprintf(&file, `{"email":"person%d@acme.example.com"}`+"\n", i)
	}
	d := &directory.Service{Store: s}
	made, err := d.Receive(t.Context(), s.Org(o.ID), directory.Upload{Format: importfile.NDJSON, Actor: "test", Body: strings.NewReader(file.String())})
	if err != nil {
		t.Fatal(err)
	}
	return s.Org(o.ID), made.ID
}

// claim takes the only task there is; ok is false when there is none.
func claim(t *testing.T, s *store.Store) (c usersync.Claim, ok bool) {
	t.Helper()
	taken, err := outbox.TakeReady(t.Context(), s, queue.Bulk, "", outbox.Shares{Slots: 1000, Key: 1}, 1)
	if err != nil {
		t.Fatal(err)
	}
	if len(taken) == 0 {
		return c, false
	}
	if c, ok, err = outbox.Claim(t.Context(), s, taken[0].ID, taken[0].Generation); err != nil {
		t.Fatal(err)
	}
	return c, ok
}

func done(t *testing.T, org *store.Org, id string) directory.Import {
	t.Helper()
	i, err := directory.GetImport(t.Context(), org, id)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func TestAnImportGivesItsSlotBackAfterItsTurn(t *testing.T) {
	t.Parallel()
	storetest.Engines(t, func(t *testing.T, open func() *store.Store) {
		s := open()
		org, id := upload(t, s)
		work := (&directory.Service{Store: s, Turn: time.Nanosecond}).Handler().Work
		for turn := 1; turn <= chunks; turn++ {
			c, ok := claim(t, s)
			if !ok {
				t.Fatalf("no task before turn %d", turn)
			}
			if err := work(t.Context(), c); err != nil {
				t.Fatal(err)
			}
			if i := done(t, org, id); i.Done != int64(turn*500) || i.Status != directory.ImportRunning {
				t.Errorf("after turn %d: %+v", turn, i)
			}
		}
		c, ok := claim(t, s)
		if err := work(t.Context(), c); !ok || err != nil {
			t.Fatal(ok, err)
		}
		if i := done(t, org, id); i.Status != directory.ImportSucceeded || i.Saved != chunks*500 {
			t.Errorf("%+v", i)
		}
		if _, ok := claim(t, s); ok {
			t.Error("the task is left")
		}
	})
}

// A worker that died after its first chunk, and one that did not know that it
// counts as dead: neither makes a line count twice.
func TestAnImportGoesOnAfterItsWorkerDied(t *testing.T) {
	t.Parallel()
	storetest.Engines(t, func(t *testing.T, open func() *store.Store) {
		s := open()
		org, id := upload(t, s)
		d := &directory.Service{Store: s, Turn: time.Hour}
		turn, _ := claim(t, s)
		if err := (&directory.Service{Store: s, Turn: time.Nanosecond}).Handler().Work(t.Context(), turn); err != nil {
			t.Fatal(err)
		}
		first, ok := claim(t, s)
		if !ok {
			t.Fatal("no task")
		}
		// It dies before its second chunk is written: the count is what it was.
		ctx, die := context.WithCancel(t.Context())
		die()
		if err := d.Handler().Work(ctx, first); err == nil {
			t.Error("a worker that is dead has worked")
		}
		if i := done(t, org, id); i.Done != 500 {
			t.Errorf("%+v", i)
		}
		if _, err := outbox.UnsendAll(t.Context(), s, true); err != nil { // what the next start does
			t.Fatal(err)
		}
		second, ok := claim(t, s)
		if !ok {
			t.Fatal("the task is not there again")
		}
		if err := d.Handler().Work(t.Context(), first); !errors.Is(err, outbox.ErrClaimLost) {
			t.Errorf("the dead worker goes on: %v", err)
		}
		if err := d.Handler().Work(t.Context(), second); err != nil {
			t.Fatal(err)
		}
		if i := done(t, org, id); i.Status != directory.ImportSucceeded || i.Done != chunks*500 || i.Saved != chunks*500 {
			t.Errorf("%+v", i)
		}
	})
}

func TestAnImportThatIsGivenUpFails(t *testing.T) {
	t.Parallel()
	storetest.Engines(t, func(t *testing.T, open func() *store.Store) {
		s := open()
		org, id := upload(t, s)
		c, _ := claim(t, s)
		if err := (&directory.Service{Store: s}).Handler().GiveUp(t.Context(), c, errors.New("again and again")); err != nil {
			t.Fatal(err)
		}
		if i := done(t, org, id); i.Status != directory.ImportFailed || i.Message == "" {
			t.Errorf("%+v", i)
		}
		if _, ok, err := directory.NextChunk(t.Context(), org, id); ok || err != nil {
			t.Errorf("chunks are left: %v %v", ok, err)
		}
	})
}
