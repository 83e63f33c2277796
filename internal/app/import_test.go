package app_test

import (
	"database/sql"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"usersync/internal/app"
	"usersync/internal/app/apptest"
	"usersync/internal/directory"
	"usersync/internal/importfile"
	"usersync/internal/roomtest"
	"usersync/internal/tenant"
)

// count returns how many rows a table of the program's database has.
func count(t *testing.T, db *sql.DB, table string) int {
	t.Helper()
	return roomtest.Count(t, db, `SELECT count(*) FROM `+table)
}

func (n customer) upload(t *testing.T, file string) string {
	t.Helper()
	d := &directory.Service{Store: n.app.Store}
	made, err := d.Receive(t.Context(), n.app.Store.Org(n.org.ID), directory.Upload{Body: strings.NewReader(file), Format: importfile.CSV, Actor: "test"})
	if err != nil {
		t.Fatal(err)
	}
	n.app.Relay.Wake()
	return made.ID
}

func (n customer) imported(t *testing.T, id string) directory.Import {
	t.Helper()
	i, err := directory.GetImport(t.Context(), n.app.Store.Org(n.org.ID), id)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// addresses writes a file of so many people, every tenth line wrong.
func addresses(lines int) string {
	var file strings.Builder
	file.WriteString("email,name\n")
	for i := range lines {
		at := "@"
		if i%10 == 9 {
			at = " at "
		}
		_, _ = fmt.Fprintf(&file, "person%d%scompany%d.example.com,Given%d Family%d\n", i, at, i%50, i, i)
	}
	return file.String()
}

func TestAnImportGoesOnAfterARestart(t *testing.T) {
	t.Parallel()
	apptest.Each(t, func(t *testing.T, e *apptest.Environment) {
		const lines = 2000
		n := newTenant(t, e.Start(t, app.All), 1)
		id := n.upload(t, addresses(lines))
		apptest.Eventually(t, "some lines are done", func() bool { return n.imported(t, id).Done > 0 })
		n.app.Stop(t)
		n.app = e.Start(t, app.All)
		apptest.Eventually(t, "imported", func() bool { return n.imported(t, id).Status.Final() })
		i := n.imported(t, id)
		if i.Status != directory.ImportSucceeded || i.Lines != lines || i.Done != lines || i.Saved != lines*9/10 || i.Refused != lines/10 {
			t.Errorf("%+v", i)
		}
		db := database(t, e)
		if people := count(t, db, "people"); people != lines*9/10 {
			t.Errorf("%d people", people)
		}
		if left := count(t, db, "import_chunks") + count(t, db, "outbox"); left != 0 {
			t.Errorf("%d chunks and tasks are left", left)
		}
	})
}

func TestTwoImportsOfOneOrganizationDoNotDisturbEachOther(t *testing.T) {
	t.Parallel()
	apptest.Each(t, func(t *testing.T, e *apptest.Environment) {
		n := newTenant(t, e.Start(t, app.All), 1)
		other := newTenant(t, n.app, 1)
		first, second, third := n.upload(t, addresses(600)), n.upload(t, addresses(600)), other.upload(t, addresses(300))
		for _, of := range []struct {
			customer
			id    string
			saved int64
		}{{n, first, 540}, {n, second, 540}, {other, third, 270}} {
			apptest.Eventually(t, "imported", func() bool { return of.imported(t, of.id).Status.Final() })
			if i := of.imported(t, of.id); i.Saved != of.saved {
				t.Errorf("%+v", i)
			}
		}
		if people := count(t, database(t, e), "people"); people != 540+270 {
			t.Errorf("%d people", people)
		}
	})
}

// A client that goes away in the middle leaves nothing. A client that sends more than
// is allowed gets an error, at once if it announces the length.
func TestAnUploadCountsOnlyAsAWhole(t *testing.T) {
	t.Parallel()
	apptest.Each(t, func(t *testing.T, e *apptest.Environment) {
		a := e.Start(t, app.API)
		n := newTenant(t, a, 1)
		_, key, err := tenant.CreateKey(t.Context(), a.Store, "test", n.org.ID, tenant.Key{Name: "k"})
		must(t, err)
		body := &halting{text: addresses(1500), halt: make(chan struct{})}
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, a.Addr()+"/v1/directory/imports", body)
		must(t, err)
		request.Header.Set("X-Api-Key", key.Reveal())
		request.Header.Set("Content-Type", "text/csv")
		client := &http.Client{Transport: &http.Transport{}, Timeout: time.Minute}
		defer client.CloseIdleConnections()
		db := database(t, e)
		ended := make(chan error, 1)
		go func() {
			response, err := client.Do(request)
			if err == nil {
				_ = response.Body.Close()
			}
			ended <- err
		}()
		apptest.Eventually(t, "some of it is stored", func() bool { return count(t, db, "import_chunks") > 0 })
		close(body.halt)
		if err := <-ended; err == nil {
			t.Error("half an upload is answered")
		}
		apptest.Eventually(t, "nothing of it is left", func() bool {
			return count(t, db, "imports")+count(t, db, "import_chunks")+count(t, db, "outbox") == 0
		})
	})
}

// halting sends its text and then nothing until it is told to fail.
type halting struct {
	text string
	halt chan struct{}
}

func (h *halting) Read(p []byte) (int, error) {
	if h.text != "" {
		n := copy(p, h.text)
		h.text = h.text[n:]
		return n, nil
	}
	<-h.halt
	return 0, fmt.Errorf("halted")
}
