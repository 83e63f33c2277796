package store_test

import (
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib"

	"usersync/internal/store"
	"usersync/internal/store/storetest"
	"usersync/internal/usersync"
)

// open makes a store of the engine with SQL beside it.
func openWithSQL(t *testing.T, engine string) (*store.Store, *sql.DB) {
	t.Helper()
	o := storetest.Options(t, engine)
	return storetest.Open(t, o), sqlOf(t, o)
}

// sqlOf opens the database of a store for SQL.
func sqlOf(t *testing.T, o store.Options) *sql.DB {
	t.Helper()
	driver, dsn := "sqlite", "file:"+filepath.Join(o.Dir, "usersync.db")+"?_pragma=busy_timeout(10000)"
	if !o.URL.IsZero() {
		driver, dsn = "pgx", o.URL.Reveal()+"&search_path="+o.Schema
	}
	db, err := sql.Open(driver, dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func onBoth(t *testing.T, test func(t *testing.T, s *store.Store, db *sql.DB)) {
	t.Helper()
	for _, engine := range []string{"sqlite", "postgres"} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			s, db := openWithSQL(t, engine)
			test(t, s, db)
		})
	}
}

func exec(t *testing.T, db *sql.DB, statement string, args ...any) {
	t.Helper()
	if _, err := db.ExecContext(t.Context(), statement, args...); err != nil {
		t.Fatal(err)
	}
}

func count(t *testing.T, db *sql.DB, query string) (n int) {
	t.Helper()
	if err := db.QueryRowContext(t.Context(), query).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// upload stores an import of so many empty chunks and returns its id with the
// claim of its task.
func (n tenant) upload(t *testing.T, chunks int, refused []usersync.ImportError) (string, usersync.Claim) {
	t.Helper()
	org := n.Org(n.org.ID)
	id, err := org.BeginImport(t.Context(), "test", "csv")
	if err != nil {
		t.Fatal(err)
	}
	for i := range chunks {
		if err := org.AddImportChunk(t.Context(), id, store.ImportChunk{Number: i, Body: []byte(`[]`), Refused: refused}); err != nil {
			t.Fatal(err)
		}
		refused = nil
	}
	task := usersync.Task{ID: usersync.NewID(usersync.PrefixTask), Organization: n.org.ID, Kind: "k", Queue: "bulk", Lane: n.org.ID, Args: []byte(`{}`)}
	if _, err := org.CompleteImport(t.Context(), id, store.ImportTotals{Lines: 100, Encoding: "utf-8"}, task); err != nil {
		t.Fatal(err)
	}
	if _, err := n.TakeReady(t.Context(), "bulk", "", 10, 10); err != nil {
		t.Fatal(err)
	}
	c, ok, err := n.Claim(t.Context(), task.ID, 1)
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	return id, c
}

func (n tenant) settle(t *testing.T, id string, c usersync.Claim, o store.ImportOutcome) error {
	t.Helper()
	o.Salt = n.org.Salt
	return n.Tx(t.Context(), func(tx *store.Tx) error {
		if err := tx.Hold(t.Context(), c); err != nil {
			return err
		}
		return tx.SettleImportChunk(t.Context(), n.org.ID, id, o)
	})
}

func (n tenant) imported(t *testing.T, id string) usersync.Import {
	t.Helper()
	i, err := n.Org(n.org.ID).Import(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func line(number int64, email, name string) store.ImportLine {
	return store.ImportLine{Line: number, NewPerson: store.NewPerson{Email: usersync.NewEmail(email, email), Name: name}}
}

func TestAChunkCountsOnceWhoeverComesBack(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, s *store.Store, db *sql.DB) {
		n := newTenant(t, s, 0)
		id, c := n.upload(t, 2, nil)
		o := store.ImportOutcome{Lines: []store.ImportLine{line(2, "ann@x.example", "first"), line(3, "bob@x.example", ""), line(4, "ann@x.example", "last")},
			Refused: []usersync.ImportError{{Line: 5, Field: "email", Message: "is required"}, {Line: 5, Field: "name", Message: "is wrong"}}}
		if err := n.settle(t, id, c, o); err != nil {
			t.Fatal(err)
		}
		// The same worker again, and one whose claim is another's.
		if err := n.settle(t, id, c, o); !errors.Is(err, store.ErrClaimLost) {
			t.Errorf("a chunk is settled twice: %v", err)
		}
		stale := c
		stale.Token = usersync.NewID(usersync.PrefixClaim)
		if err := n.settle(t, id, stale, store.ImportOutcome{Number: 1, Lines: o.Lines}); !errors.Is(err, store.ErrClaimLost) {
			t.Errorf("a lost claim settles: %v", err)
		}
		if i := n.imported(t, id); i.Done != 4 || i.Saved != 3 || i.Refused != 1 || i.Status != usersync.ImportRunning {
			t.Errorf("%+v", i)
		}
		if got := count(t, db, `SELECT count(*) FROM people WHERE name IN ('last', '')`); got != 2 || count(t, db, `SELECT count(*) FROM people`) != 2 {
			t.Errorf("%d of the last lines of each person", got)
		}
		next, ok, err := s.Org(n.org.ID).NextImportChunk(t.Context(), id)
		if err != nil || !ok || next.Number != 1 {
			t.Errorf("the next chunk is %d, %v %v", next.Number, ok, err)
		}
		if _, ok, _ := s.Org(newTenant(t, s, 0).org.ID).NextImportChunk(t.Context(), id); ok {
			t.Error("another organization reads the chunk")
		}
	})
}

func TestErasedPeopleDoNotComeBack(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, s *store.Store, db *sql.DB) {
		n, other := newTenant(t, s, 0), newTenant(t, s, 0)
		for _, o := range []struct {
			of  tenant
			key string
		}{{n, "ann@x.example"}, {other, "bob@x.example"}} {
			exec(t, db, `INSERT INTO erased (organization_id, person, created_at) VALUES ($1, $2, 1)`,
				o.of.org.ID, usersync.KeyedID(usersync.PrefixErasure, o.of.org.Salt, o.key))
		}
		id, c := n.upload(t, 1, nil)
		if err := n.settle(t, id, c, store.ImportOutcome{Lines: []store.ImportLine{line(2, "ann@x.example", ""), line(3, "bob@x.example", "")}}); err != nil {
			t.Fatal(err)
		}
		if i := n.imported(t, id); i.Saved != 1 || i.Refused != 1 || count(t, db, `SELECT count(*) FROM people WHERE email_key = 'bob@x.example'`) != 1 {
			t.Errorf("%+v", i)
		}
		list, _, err := s.Org(n.org.ID).ImportErrors(t.Context(), id, store.ImportErrorPlace{}, 10)
		if err != nil || len(list) != 1 || list[0] != (usersync.ImportError{Line: 2, Field: "email", Message: "was erased"}) {
			t.Errorf("%+v %v", list, err)
		}
	})
}

func TestErrorsBeyondTheBoundAreOnlyCounted(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, s *store.Store, db *sql.DB) {
		n := newTenant(t, s, 0)
		refused := make([]usersync.ImportError, store.KeptImportErrors-1)
		for i := range refused {
			refused[i] = usersync.ImportError{Line: int64(i + 2), Message: "is wrong"}
		}
		id, c := n.upload(t, 2, refused)
		more := []usersync.ImportError{{Line: 20_001, Field: "a", Message: "x"}, {Line: 20_001, Field: "b", Message: "x"}, {Line: 20_002, Field: "a", Message: "x"}}
		if err := n.settle(t, id, c, store.ImportOutcome{Refused: more}); err != nil {
			t.Fatal(err)
		}
		if err := n.settle(t, id, c, store.ImportOutcome{Number: 1, Refused: []usersync.ImportError{{Line: 30_000, Message: "x"}}}); err != nil {
			t.Fatal(err)
		}
		if i := n.imported(t, id); i.Refused != store.KeptImportErrors+2 || i.Done != i.Refused {
			t.Errorf("%+v", i)
		}
		var place store.ImportErrorPlace
		var all []usersync.ImportError
		for {
			page, next, err := s.Org(n.org.ID).ImportErrors(t.Context(), id, place, 700)
			if err != nil {
				t.Fatal(err)
			}
			if len(page) == 0 {
				break
			}
			all, place = append(all, page...), next
		}
		if len(all) != store.KeptImportErrors+1 || all[len(all)-1] != more[1] || count(t, db, `SELECT count(*) FROM import_errors`) != len(all) {
			t.Errorf("%d errors kept, the last %+v", len(all), all[len(all)-1])
		}
	})
}

func TestUploadsThatBrokeOffAreRemoved(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, s *store.Store, db *sql.DB) {
		n := newTenant(t, s, 0)
		org := s.Org(n.org.ID)
		complete, _ := n.upload(t, 1, nil)
		var begun []string
		for range 3 {
			id, err := org.BeginImport(t.Context(), "test", "csv")
			if err != nil {
				t.Fatal(err)
			}
			chunk := store.ImportChunk{Body: []byte(`[]`), Refused: []usersync.ImportError{{Line: 2, Message: "x"}}}
			if err := org.AddImportChunk(t.Context(), id, chunk); err != nil {
				t.Fatal(err)
			}
			begun = append(begun, id)
		}
		old := fmt.Sprintf(`UPDATE imports SET updated_at = updated_at - %d WHERE id <> $1`, (store.AbandonedAfter + 1).Microseconds())
		exec(t, db, old, begun[0])
		if _, err := org.Import(t.Context(), begun[0]); !errors.Is(err, store.ErrNoImport) {
			t.Errorf("an upload that is under way is shown: %v", err)
		}
		if dropped, err := s.DropAbandonedImports(t.Context(), 10); err != nil || dropped != 2 {
			t.Errorf("%d dropped, %v", dropped, err)
		}
		if n.imported(t, complete).Status != usersync.ImportQueued || count(t, db, `SELECT count(*) FROM imports`) != 2 ||
			count(t, db, `SELECT count(*) FROM import_chunks`) != 2 || count(t, db, `SELECT count(*) FROM import_errors`) != 1 {
			t.Error("more or less than the abandoned uploads is gone")
		}
		if err := org.AddImportChunk(t.Context(), begun[1], store.ImportChunk{Number: 1}); !errors.Is(err, store.ErrNoImport) {
			t.Errorf("an upload that was removed goes on: %v", err)
		}
	})
}

func TestAFailedImportLeavesNoLinesBehind(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, s *store.Store, db *sql.DB) {
		n := newTenant(t, s, 0)
		id, _ := n.upload(t, 3, nil)
		for range 2 {
			err := s.Tx(t.Context(), func(tx *store.Tx) error { return tx.FailImport(t.Context(), n.org.ID, id, "It broke.") })
			if err != nil {
				t.Fatal(err)
			}
		}
		if i := n.imported(t, id); i.Status != usersync.ImportFailed || i.Message != "It broke." || i.FinishedAt.IsZero() {
			t.Errorf("%+v", i)
		}
		if count(t, db, `SELECT count(*) FROM import_chunks`) != 0 {
			t.Error("its chunks are left")
		}
	})
}
