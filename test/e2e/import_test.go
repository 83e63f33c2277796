//go:build unix

package e2e

import (
	"bytes"
	"database/sql"
	"fmt"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"usersync/internal/directory"
	"usersync/test/system"
)

// An import of many lines, killed again and again while it is worked: each line
// counts once.
func TestImportKilledWhileItIsWorked(t *testing.T) {
	t.Parallel()
	const lines, kills = 20_000, 3
	e := newEmbedded(t)
	e.Start(t)
	n := e.tenant(t)
	path := n.importPeople(t, lines)
	inTheMiddle := 0
	for round := 1; round <= kills; round++ {
		before := n.showImport(t, path)
		seen := before
		system.Await(t, time.Minute, "more lines are done", func() bool {
			seen = n.showImport(t, path)
			return seen.Done > before.Done || seen.Status.Final()
		}, nil)
		e.Kill()
		if !seen.Status.Final() {
			inTheMiddle++
		}
		t.Logf("kill %d: %d of %d lines done", round, seen.Done, seen.Lines)
		e.Start(t)
		if after := n.showImport(t, path); after.Done < seen.Done {
			t.Errorf("%d lines are done after the kill, %d were before", after.Done, seen.Done)
		}
	}
	if inTheMiddle == 0 {
		t.Error("the import was over before the first kill: the test proved nothing")
	}
	system.Await(t, time.Minute, "the import is done", func() bool { return n.showImport(t, path).Status.Final() }, nil)
	if i := n.showImport(t, path); i.Status != directory.ImportSucceeded || i.Lines != lines || i.Done != lines || i.Saved != lines {
		t.Errorf("%+v", i)
	}
	e.Stop(t)
	db, err := sql.Open("sqlite", "file:"+filepath.Join(e.dir, "usersync.db"))
	system.Must(t, err)
	defer func() { _ = db.Close() }()
	people := 0
	system.Must(t, db.QueryRowContext(t.Context(), `SELECT count(*) FROM people WHERE email_key LIKE 'person%@company%.example'`).Scan(&people))
	if people != lines {
		t.Errorf("%d people in the directory, want %d", people, lines)
	}
}

// importPeople uploads so many people and returns where the import is shown.
func (n *customer) importPeople(t *testing.T, lines int) (path string) {
	t.Helper()
	var file bytes.Buffer
	file.WriteString("email,name\n")
	for i := range lines {
		_, _ = fmt.Fprintf(&file, "%s,Given%d Family%d\n", emailOf(i), i, i)
	}
	answer, err := n.Do(t.Context(), system.Call{Method: http.MethodPost, Path: "/v1/directory/imports", Type: "text/csv", Body: file.Bytes()})
	system.Must(t, err)
	if answer.Status != http.StatusAccepted {
		t.Fatalf("the upload was answered with %d %s", answer.Status, answer.Body)
	}
	return answer.Location
}

func (n *customer) showImport(t *testing.T, path string) (i directory.Import) {
	t.Helper()
	n.Call(t, http.MethodGet, path, nil, &i)
	return i
}
