package directory_test

import (
	"database/sql"
	"errors"
	"fmt"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib"

	"usersync/internal/directory"
	"usersync/internal/outbox"
	"usersync/internal/roomtest"
	"usersync/internal/store"
	"usersync/internal/usersync"
)

// uploadChunks stores an import of so many empty chunks and returns its id with the
// claim of its task.
func uploadChunks(t *testing.T, n roomtest.Tenant, chunks int, refused []directory.ImportError) (string, usersync.Claim) {
	t.Helper()
	org := n.Org(n.Organization.ID)
	id, err := directory.BeginImport(t.Context(), org, "test", "csv")
	if err != nil {
		t.Fatal(err)
	}
	for i := range chunks {
		if err := directory.AddChunk(t.Context(), org, id, directory.Chunk{Number: i, Body: []byte(`[]`), Refused: refused}); err != nil {
			t.Fatal(err)
		}
		refused = nil
	}
	task := usersync.Task{ID: usersync.NewID(usersync.PrefixTask), Organization: n.Organization.ID, Kind: "k", Queue: "bulk", FairnessKey: n.Organization.ID, Args: []byte(`{}`)}
	if _, err := directory.CompleteImport(t.Context(), org, id, directory.Totals{Lines: 100, Encoding: "utf-8"}, task); err != nil {
		t.Fatal(err)
	}
	if _, err := outbox.TakeReady(t.Context(), n.Store, "bulk", "", outbox.Shares{Slots: 1000, Key: 10}, 10); err != nil {
		t.Fatal(err)
	}
	c, ok, err := outbox.Claim(t.Context(), n.Store, task.ID, 1)
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	return id, c
}

func saveChunk(t *testing.T, n roomtest.Tenant, id string, c usersync.Claim, o directory.Outcome) error {
	t.Helper()
	o.Salt = n.Organization.Salt
	return n.Tx(t.Context(), func(tx *store.Tx) error {
		if err := outbox.Hold(t.Context(), tx, c); err != nil {
			return err
		}
		return directory.SaveChunk(t.Context(), tx, n.Organization.ID, id, o)
	})
}

func imported(t *testing.T, n roomtest.Tenant, id string) directory.Import {
	t.Helper()
	i, err := directory.GetImport(t.Context(), n.Org(n.Organization.ID), id)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func line(number int64, email, name string) directory.Line {
	return directory.Line{Line: number, Person: directory.Person{Email: usersync.NewEmail(email, email), Name: name}}
}

func TestAChunkCountsOnceWhoeverComesBack(t *testing.T) {
	t.Parallel()
	roomtest.Engines(t, func(t *testing.T, s *store.Store, db *sql.DB) {
		n := roomtest.New(t, s, 0)
		id, c := uploadChunks(t, n, 2, nil)
		o := directory.Outcome{Lines: []directory.Line{line(2, "ann@x.example", "first"), line(3, "bob@x.example", ""), line(4, "ann@x.example", "last")},
			Refused: []directory.ImportError{{Line: 5, Field: "email", Message: "is required"}, {Line: 5, Field: "name", Message: "is wrong"}}}
		if err := saveChunk(t, n, id, c, o); err != nil {
			t.Fatal(err)
		}
		// The same worker again, and one whose claim is another's.
		if err := saveChunk(t, n, id, c, o); !errors.Is(err, outbox.ErrClaimLost) {
			t.Errorf("a chunk is saved twice: %v", err)
		}
		stale := c
		stale.Token = usersync.NewID(usersync.PrefixClaim)
		if err := saveChunk(t, n, id, stale, directory.Outcome{Number: 1, Lines: o.Lines}); !errors.Is(err, outbox.ErrClaimLost) {
			t.Errorf("a lost claim saves: %v", err)
		}
		if i := imported(t, n, id); i.Done != 4 || i.Saved != 3 || i.Refused != 1 || i.Status != directory.ImportRunning {
			t.Errorf("%+v", i)
		}
		if got := roomtest.Count(t, db, `SELECT count(*) FROM people WHERE name IN ('last', '')`); got != 2 || roomtest.Count(t, db, `SELECT count(*) FROM people`) != 2 {
			t.Errorf("%d of the last lines of each person", got)
		}
		next, ok, err := directory.NextChunk(t.Context(), s.Org(n.Organization.ID), id)
		if err != nil || !ok || next.Number != 1 {
			t.Errorf("the next chunk is %d, %v %v", next.Number, ok, err)
		}
		if _, ok, _ := directory.NextChunk(t.Context(), s.Org(roomtest.New(t, s, 0).Organization.ID), id); ok {
			t.Error("another organization reads the chunk")
		}
	})
}

func TestErasedPeopleDoNotComeBack(t *testing.T) {
	t.Parallel()
	roomtest.Engines(t, func(t *testing.T, s *store.Store, db *sql.DB) {
		n, other := roomtest.New(t, s, 0), roomtest.New(t, s, 0)
		for _, o := range []struct {
			of  roomtest.Tenant
			key string
		}{{n, "ann@x.example"}, {other, "bob@x.example"}} {
			roomtest.Execute(t, db, `INSERT INTO erased (organization_id, person, created_at) VALUES ($1, $2, 1)`,
				o.of.Organization.ID, usersync.KeyedID(usersync.PrefixErasure, o.of.Organization.Salt, o.key))
		}
		id, c := uploadChunks(t, n, 1, nil)
		if err := saveChunk(t, n, id, c, directory.Outcome{Lines: []directory.Line{line(2, "ann@x.example", ""), line(3, "bob@x.example", "")}}); err != nil {
			t.Fatal(err)
		}
		if i := imported(t, n, id); i.Saved != 1 || i.Refused != 1 || roomtest.Count(t, db, `SELECT count(*) FROM people WHERE email_key = 'bob@x.example'`) != 1 {
			t.Errorf("%+v", i)
		}
		list, _, err := directory.ListErrors(t.Context(), s.Org(n.Organization.ID), id, directory.ErrorPlace{}, 10)
		if err != nil || len(list) != 1 || list[0] != (directory.ImportError{Line: 2, Field: "email", Message: "was erased"}) {
			t.Errorf("%+v %v", list, err)
		}
	})
}

func TestErrorsBeyondTheBoundAreOnlyCounted(t *testing.T) {
	t.Parallel()
	roomtest.Engines(t, func(t *testing.T, s *store.Store, db *sql.DB) {
		n := roomtest.New(t, s, 0)
		refused := make([]directory.ImportError, directory.KeptImportErrors-1)
		for i := range refused {
			refused[i] = directory.ImportError{Line: int64(i + 2), Message: "is wrong"}
		}
		id, c := uploadChunks(t, n, 2, refused)
		more := []directory.ImportError{{Line: 20_001, Field: "a", Message: "x"}, {Line: 20_001, Field: "b", Message: "x"}, {Line: 20_002, Field: "a", Message: "x"}}
		if err := saveChunk(t, n, id, c, directory.Outcome{Refused: more}); err != nil {
			t.Fatal(err)
		}
		if err := saveChunk(t, n, id, c, directory.Outcome{Number: 1, Refused: []directory.ImportError{{Line: 30_000, Message: "x"}}}); err != nil {
			t.Fatal(err)
		}
		if i := imported(t, n, id); i.Refused != directory.KeptImportErrors+2 || i.Done != i.Refused {
			t.Errorf("%+v", i)
		}
		var place directory.ErrorPlace
		var all []directory.ImportError
		for {
			page, next, err := directory.ListErrors(t.Context(), s.Org(n.Organization.ID), id, place, 700)
			if err != nil {
				t.Fatal(err)
			}
			if len(page) == 0 {
				break
			}
			all, place = append(all, page...), next
		}
		if len(all) != directory.KeptImportErrors+1 || all[len(all)-1] != more[1] || roomtest.Count(t, db, `SELECT count(*) FROM import_errors`) != len(all) {
			t.Errorf("%d errors kept, the last %+v", len(all), all[len(all)-1])
		}
	})
}

func TestUploadsThatBrokeOffAreRemoved(t *testing.T) {
	t.Parallel()
	roomtest.Engines(t, func(t *testing.T, s *store.Store, db *sql.DB) {
		n := roomtest.New(t, s, 0)
		org := s.Org(n.Organization.ID)
		complete, _ := uploadChunks(t, n, 1, nil)
		var begun []string
		for range 3 {
			id, err := directory.BeginImport(t.Context(), org, "test", "csv")
			if err != nil {
				t.Fatal(err)
			}
			chunk := directory.Chunk{Body: []byte(`[]`), Refused: []directory.ImportError{{Line: 2, Message: "x"}}}
			if err := directory.AddChunk(t.Context(), org, id, chunk); err != nil {
				t.Fatal(err)
			}
			begun = append(begun, id)
		}
		old := fmt.Sprintf(`UPDATE imports SET updated_at = updated_at - %d WHERE id <> $1`, (directory.AbandonedAfter + 1).Microseconds())
		roomtest.Execute(t, db, old, begun[0])
		if _, err := directory.GetImport(t.Context(), org, begun[0]); !errors.Is(err, directory.ErrNoImport) {
			t.Errorf("an upload that is under way is shown: %v", err)
		}
		if dropped, err := directory.DropAbandonedImports(t.Context(), s, 10); err != nil || dropped != 2 {
			t.Errorf("%d dropped, %v", dropped, err)
		}
		if imported(t, n, complete).Status != directory.ImportQueued || roomtest.Count(t, db, `SELECT count(*) FROM imports`) != 2 ||
			roomtest.Count(t, db, `SELECT count(*) FROM import_chunks`) != 2 || roomtest.Count(t, db, `SELECT count(*) FROM import_errors`) != 1 {
			t.Error("more or less than the abandoned uploads is gone")
		}
		if err := directory.AddChunk(t.Context(), org, begun[1], directory.Chunk{Number: 1}); !errors.Is(err, directory.ErrNoImport) {
			t.Errorf("an upload that was removed goes on: %v", err)
		}
	})
}

func TestAFailedImportLeavesNoLinesBehind(t *testing.T) {
	t.Parallel()
	roomtest.Engines(t, func(t *testing.T, s *store.Store, db *sql.DB) {
		n := roomtest.New(t, s, 0)
		id, _ := uploadChunks(t, n, 3, nil)
		for range 2 {
			err := s.Tx(t.Context(), func(tx *store.Tx) error {
				return directory.FailImport(t.Context(), tx, n.Organization.ID, id, "It broke.")
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		if i := imported(t, n, id); i.Status != directory.ImportFailed || i.Message != "It broke." || i.FinishedAt.IsZero() {
			t.Errorf("%+v", i)
		}
		if roomtest.Count(t, db, `SELECT count(*) FROM import_chunks`) != 0 {
			t.Error("its chunks are left")
		}
	})
}
