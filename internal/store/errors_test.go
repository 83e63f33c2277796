package store_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"usersync/internal/store"
	"usersync/internal/store/storetest"
	"usersync/internal/usersync"
)

// TestWhatADatabaseSaysOfTheMomentIsUnavailable is the table of all codes.
func TestWhatADatabaseSaysOfTheMomentIsUnavailable(t *testing.T) {
	t.Parallel()
	for codes, want := range map[string]usersync.Code{
		"08000 08001 08003 08004 08006 08007 08P01":             usersync.CodeUnavailable,
		"25006 25P03 25P04":                                     usersync.CodeUnavailable,
		"40001 40003 40P01":                                     usersync.CodeUnavailable,
		"53000 53100 53200 53300 53400":                         usersync.CodeUnavailable,
		"55P03 57014 57P01 57P02 57P03 57P04 57P05 58000 58030": usersync.CodeUnavailable,
		"22001 22012 22P02 23502 23505 23514 25001 25P02":       usersync.CodeInternal,
		"42501 42601 42703 42P01 0A000 54000 XX000 XX001 P0001": usersync.CodeInternal,
	} {
		for code := range strings.FieldsSeq(codes) {
			err := store.Classify(fmt.Errorf("run it: %w", &pgconn.PgError{Severity: "ERROR", Code: code}))
			if got := usersync.AsError(err).Code; got != want || errors.Is(err, usersync.ErrDatabaseAway) != (want == usersync.CodeUnavailable) {
				t.Errorf("%s is %s, want %s", code, got, want)
			}
		}
	}
}

var (
	moment   = store.Define("store_test.moment", `INSERT INTO moments VALUES (1)`)
	moments  = store.Define("store_test.moments", `SELECT count(*) FROM moments`)
	sleep    = store.DefinePerEngine("store_test.sleep", `SELECT count(*) FROM pg_sleep(60)`, "")
	setLocal = store.DefinePerEngine("store_test.setLocal", `SELECT set_config($1, '100', true)`, "")
	ownPID   = store.DefinePerEngine("store_test.ownPID", `SELECT pg_backend_pid()`, "")
	lockRows = store.Define("store_test.lockRows", `UPDATE moments SET n = n`)
)

// lines keeps what is logged.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) count(words string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), words)
}

// open opens PostgreSQL with parameters, such as statement_timeout=100, on a schema with
// one table. The log has what is said of outages; plain has no parameters.
func openWith(t *testing.T, parameters string) (s, plain *store.Store, db *sql.DB, log *lines) {
	t.Helper()
	o := storetest.Options(t, "postgres")
	plain = storetest.Open(t, o)
	db, err := sql.Open("pgx", o.URL.Reveal()+"&search_path="+o.Schema)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	run(t, db, `CREATE TABLE moments (n bigint)`)
	run(t, db, `INSERT INTO moments VALUES (0)`)
	u, err := url.Parse(o.URL.Reveal())
	if err != nil {
		t.Fatal(err)
	}
	u.RawQuery += parameters
	log = &lines{}
	o.URL, o.Log = usersync.NewSecret(u.String()), slog.New(slog.NewTextHandler(log, nil))
	s, err = store.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s, plain, db, log
}

func run(t *testing.T, db *sql.DB, statement string, args ...any) {
	t.Helper()
	if _, err := db.ExecContext(t.Context(), statement, args...); err != nil {
		t.Fatal(err)
	}
}

func write(ctx context.Context, s *store.Store) error {
	return s.Tx(ctx, func(tx *store.Tx) error { return tx.Later(ctx, moment, nil, nil) })
}

// TestPostgresSaysNotNow provokes what can be provoked: each is unavailable and a cause of
// its own, whichever way the statement takes.
func TestPostgresSaysNotNow(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, parameters, code string
		provoke                func(t *testing.T, s, plain *store.Store, db *sql.DB) error
	}{
		{"read-only, in a transaction", "&default_transaction_read_only=on", "25006", func(t *testing.T, s, _ *store.Store, _ *sql.DB) error {
			t.Helper()
			return write(t.Context(), s)
		}},
		{"read-only, alone", "&default_transaction_read_only=on", "25006", func(t *testing.T, s, _ *store.Store, _ *sql.DB) error {
			t.Helper()
			_, err := s.Writer().Exec(t.Context(), moment, nil)
			return err
		}},
		{"read-only, in one statement", "&default_transaction_read_only=on", "25006", func(t *testing.T, s, _ *store.Store, _ *sql.DB) error {
			t.Helper()
			return s.OneStatement(t.Context(), 0, func(tx *store.Tx) error {
				_, err := tx.Exec(t.Context(), moment, nil)
				return err
			})
		}},
		{"statement_timeout", "", "57014", func(t *testing.T, s, _ *store.Store, _ *sql.DB) error {
			t.Helper()
			return s.Tx(t.Context(), func(tx *store.Tx) error {
				setWithin(t, tx, "statement_timeout")
				var n int64
				return tx.QueryRow(t.Context(), sleep).Scan(&n)
			})
		}},
		{"lock_timeout", "", "55P03", func(t *testing.T, s, plain *store.Store, _ *sql.DB) (err error) {
			t.Helper()
			must(t, plain.Tx(t.Context(), func(tx *store.Tx) error {
				if _, err := tx.Exec(t.Context(), lockRows, nil); err != nil {
					return err
				}
				start := time.Now()
				_, err = s.Writer().Exec(t.Context(), lockRows, nil)
				if inTx := s.Tx(t.Context(), func(tx *store.Tx) error {
					_, err := tx.Exec(t.Context(), lockRows, nil)
					return err
				}); usersync.CodeOf(inTx) != usersync.CodeUnavailable {
					t.Errorf("in a transaction: %v", inTx)
				}
				// Each waits for the 5 s of its pool, and is not tried twenty times.
				if took := time.Since(start); took > 15*time.Second {
					t.Errorf("it took %v", took)
				}
				return nil
			}))
			return err
		}},
		{"pg_cancel_backend", "", "57014", func(t *testing.T, s, _ *store.Store, db *sql.DB) error {
			t.Helper()
			return signalled(t, s, db, "pg_cancel_backend")
		}},
		{"pg_terminate_backend", "", "57P01", func(t *testing.T, s, _ *store.Store, db *sql.DB) error {
			t.Helper()
			return signalled(t, s, db, "pg_terminate_backend")
		}},
		{"idle_in_transaction_session_timeout", "", "25P03", func(t *testing.T, s, _ *store.Store, db *sql.DB) error {
			t.Helper()
			return s.Tx(t.Context(), func(tx *store.Tx) error {
				setWithin(t, tx, "idle_in_transaction_session_timeout")
				var pid int64
				if err := tx.QueryRow(t.Context(), ownPID).Scan(&pid); err != nil {
					return err
				}
				eventually(t, "the session is ended", func() bool {
					var n int
					err := db.QueryRowContext(t.Context(), `SELECT count(*) FROM pg_stat_activity WHERE pid = $1`, pid).Scan(&n)
					return err == nil && n == 0
				})
				return tx.QueryRow(t.Context(), ownPID).Scan(&pid)
			})
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s, plain, db, log := openWith(t, c.parameters)
			err := c.provoke(t, s, plain, db)
			if usersync.CodeOf(err) != usersync.CodeUnavailable || !errors.Is(err, usersync.ErrDatabaseAway) {
				t.Fatalf("%v", err)
			}
			if pg, ok := errors.AsType[*pgconn.PgError](err); !ok || pg.Code != c.code {
				t.Errorf("the cause is not %s: %v", c.code, err)
			}
			if log.count("what was accepted waits") != 1 {
				t.Errorf("logged: %s", log.text.String())
			}
		})
	}
}

// signalled has the server end a statement that is under way.
func signalled(t *testing.T, s *store.Store, db *sql.DB, function string) error {
	t.Helper()
	began, ended := make(chan int64, 1), make(chan error, 1)
	go func() {
		ended <- s.Tx(t.Context(), func(tx *store.Tx) error {
			var n int64
			if err := tx.QueryRow(t.Context(), ownPID).Scan(&n); err != nil {
				return err
			}
			began <- n
			return tx.QueryRow(t.Context(), sleep).Scan(&n)
		})
	}()
	id := <-began
	eventually(t, "the statement is ended", func() bool {
		var n int
		err := db.QueryRowContext(t.Context(), `SELECT count(`+function+`(pid)) FROM pg_stat_activity WHERE pid = $1 AND query LIKE '%pg_sleep%' AND state = 'active'`, id).Scan(&n)
		return err == nil && n > 0
	})
	return <-ended
}

// setWithin has a limit of time be 100 ms in this transaction. The pools set their own,
// whatever the URL says.
func setWithin(t *testing.T, tx *store.Tx, name string) {
	t.Helper()
	var is string
	must(t, tx.QueryRow(t.Context(), setLocal, name).Scan(&is))
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it never came to this: %s", what)
		}
	}
}

// TestAnOutageIsLoggedOnceAndItsEndOnce has a database refuse to write for a while: reads
// that succeed meanwhile do not end the outage.
func TestAnOutageIsLoggedOnceAndItsEndOnce(t *testing.T) {
	t.Parallel()
	s, _, db, log := openWith(t, "")
	refuse(t, db)
	for range 100 {
		if err := write(t.Context(), s); usersync.CodeOf(err) != usersync.CodeUnavailable {
			t.Fatal(err)
		}
		var n int64
		must(t, s.Reader().QueryRow(t.Context(), moments).Scan(&n))
	}
	run(t, db, `DROP TRIGGER refuse ON moments`)
	eventually(t, "the end is logged", func() bool {
		must(t, write(t.Context(), s))
		return log.count("the database works again") > 0
	})
	for range 10 {
		must(t, write(t.Context(), s))
	}
	if log.count("what was accepted waits") != 1 || log.count("the database works again") != 1 {
		t.Errorf("logged: %s", log.text.String())
	}
}

// TestAConnectionToAReadOnlyDatabaseIsReplaced checks that a pool comes to the new primary
// after a fail-over that left its connections open.
func TestAConnectionToAReadOnlyDatabaseIsReplaced(t *testing.T) {
	t.Parallel()
	s, _, db, _ := openWith(t, "")
	refuse(t, db)
	before := pid(t, s)
	if err := write(t.Context(), s); usersync.CodeOf(err) != usersync.CodeUnavailable {
		t.Fatal(err)
	}
	if after := pid(t, s); after == before {
		t.Error("it is the same connection")
	}
}

// pid returns the process behind the connection that writes. The pool hands out the one
// that was used last.
func pid(t *testing.T, s *store.Store) (id int64) {
	t.Helper()
	must(t, s.Writer().QueryRow(t.Context(), ownPID).Scan(&id))
	return id
}

// refuse has the table refuse what is written, in the words of a standby.
func refuse(t *testing.T, db *sql.DB) {
	t.Helper()
	run(t, db, `CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
		$$ BEGIN RAISE 'cannot execute INSERT in a read-only transaction' USING ERRCODE = '25006'; END $$`)
	run(t, db, `CREATE TRIGGER refuse BEFORE INSERT ON moments FOR EACH ROW EXECUTE FUNCTION refuse()`)
}
