package store

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

// flights counts what goes to the server by itself: batches and statements. Tests
// use one connection, so that nothing counts at once.
type flights struct{ batches, statements []string }

func (f *flights) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	f.statements = append(f.statements, data.SQL)
	return ctx
}

func (f *flights) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

func (f *flights) TraceBatchStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceBatchStartData) context.Context {
	for _, q := range data.Batch.QueuedQueries {
		f.batches = append(f.batches, q.SQL)
	}
	f.batches = append(f.batches, "sent")
	return ctx
}

func (f *flights) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {}

func (f *flights) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData) {}

// gatheringPool has one connection, with a table of its own.
func gatheringPool(t *testing.T) (*sql.DB, *flights) {
	t.Helper()
	cfg, err := pgx.ParseConfig(os.Getenv("TEST_DATABASE_URL"))
	if err != nil || os.Getenv("TEST_DATABASE_URL") == "" {
		t.Fatalf("TEST_DATABASE_URL (run the tests with `make test`): %v", err)
	}
	f := &flights{}
	cfg.Tracer = f
	pool := sql.OpenDB(gather(stdlib.GetConnector(*cfg)))
	pool.SetMaxOpenConns(1)
	t.Cleanup(func() { _ = pool.Close() })
	if _, err := pool.ExecContext(t.Context(), `CREATE TEMPORARY TABLE a (n bigint PRIMARY KEY)`); err != nil {
		t.Fatal(err)
	}
	f.statements = nil
	return pool, f
}

func begin(t *testing.T, pool *sql.DB) *sql.Tx {
	t.Helper()
	tx, err := pool.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tx.Rollback() })
	return tx
}

const insertA = `INSERT INTO a (n) VALUES ($1)`

func held1(t *testing.T, tx *sql.Tx, n int) sql.Result {
	t.Helper()
	r, err := tx.ExecContext(unhurried(t.Context(), "test.insertA", nil), insertA, n)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func count(t *testing.T, pool *sql.DB) (n int) {
	t.Helper()
	if err := pool.QueryRowContext(t.Context(), `SELECT count(*) FROM a`).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestUnhurriedStatementsTravelWithTheNextQuery(t *testing.T) {
	t.Parallel()
	pool, f := gatheringPool(t)
	tx := begin(t, pool)
	first, second := held1(t, tx, 1), held1(t, tx, 2)
	if len(f.batches)+len(f.statements) > 0 {
		t.Fatalf("sent before anybody asked: %q, %q", f.batches, f.statements)
	}
	var n int
	if err := tx.QueryRowContext(t.Context(), `SELECT count(*) FROM a WHERE n < $1`, 10).Scan(&n); err != nil || n != 2 {
		t.Fatalf("the query sees %d of what was written before it, want 2: %v", n, err)
	}
	held1(t, tx, 3)
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	for _, r := range []sql.Result{first, second} {
		if n, err := r.RowsAffected(); n != 1 || err != nil {
			t.Errorf("a statement changed %d rows: %v", n, err)
		}
	}
	want := []string{"begin", insertA, insertA, `SELECT count(*) FROM a WHERE n < $1`, "sent", insertA, "commit", "sent"}
	if !slices.Equal(f.batches, want) || len(f.statements) > 0 {
		t.Errorf("sent together %q, alone %q", f.batches, f.statements)
	}
	if n := count(t, pool); n != 3 {
		t.Errorf("%d rows are committed, want 3", n)
	}
}

func TestAFenceThatDoesNotHoldKeepsTheCommitBehindItFromHappening(t *testing.T) {
	t.Parallel()
	pool, f := gatheringPool(t)
	refusal := errors.New("the fence does not hold")
	st := &Statement{name: "test.fence", texts: map[Engine]string{Postgres: `DELETE FROM a WHERE n = $1`}, arguments: 1}
	for _, c := range []struct {
		least int
		want  error
		rows  int
	}{{2, refusal, 1}, {1, nil, 1}} {
		if _, err := pool.ExecContext(t.Context(), insertA, c.least); err != nil {
			t.Fatal(err)
		}
		f.statements, f.batches = nil, nil
		tx := begin(t, pool)
		if _, err := tx.ExecContext(unhurried(t.Context(), st.name, refusal), st.fencedText(), c.least, c.least); err != nil {
			t.Fatal(err)
		}
		if err := tx.Commit(); !errors.Is(err, c.want) {
			t.Errorf("with %d rows wanted the commit says %v, want %v", c.least, err, c.want)
		}
		if n := count(t, pool); n != c.rows {
			t.Errorf("with %d rows wanted there are %d rows, want %d", c.least, n, c.rows)
		}
	}
}

func TestAQueryBehindACommitTravelsWithItAndSeesWhatItCommits(t *testing.T) {
	t.Parallel()
	pool, f := gatheringPool(t)
	tx := begin(t, pool)
	held1(t, tx, 1)
	var there, away asked
	const query = `SELECT 1 FROM a WHERE n = $1`
	for to, n := range map[*asked]int{&there: 1, &away: 2} {
		if _, err := tx.ExecContext(behindCommit(t.Context(), to), query, n); err != nil {
			t.Fatal(err)
		}
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	if there.rows != 1 || there.err != nil || away.rows != 0 || away.err != nil {
		t.Errorf("found %+v and %+v, want one row and none", there, away)
	}
	if want := []string{"begin", insertA, "commit", query, query, "sent"}; !slices.Equal(f.batches, want) {
		t.Errorf("sent together %q, want %q", f.batches, want)
	}
}

func TestAQueryBehindACommitThatFailsHasNoAnswer(t *testing.T) {
	t.Parallel()
	pool, _ := gatheringPool(t)
	tx := begin(t, pool)
	held1(t, tx, 1)
	held1(t, tx, 1)
	var to asked
	if _, err := tx.ExecContext(behindCommit(t.Context(), &to), `SELECT 1`); err != nil {
		t.Fatal(err)
	}
	if err := tx.Commit(); err == nil || to.err == nil || to.rows != 0 {
		t.Errorf("the commit says %v, the query behind it %+v", err, to)
	}
	if n := count(t, pool); n != 0 {
		t.Errorf("%d rows are committed, want none", n)
	}
}

func TestStatementInAHurryGoesAfterThoseThatWait(t *testing.T) {
	t.Parallel()
	pool, _ := gatheringPool(t)
	tx := begin(t, pool)
	held1(t, tx, 1)
	r, err := tx.ExecContext(t.Context(), `UPDATE a SET n = n + 1`)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := r.RowsAffected(); n != 1 || err != nil {
		t.Errorf("changed %d rows, want the one that waited: %v", n, err)
	}
}

func TestFailedStatementUndoesATransactionThatNeverAsked(t *testing.T) {
	t.Parallel()
	pool, _ := gatheringPool(t)
	tx := begin(t, pool)
	held1(t, tx, 1)
	twice, behind := held1(t, tx, 1), held1(t, tx, 2)
	if err := tx.Commit(); !IsDuplicate(err) {
		t.Errorf("the commit says %v, want the duplicate", err)
	}
	for _, r := range []sql.Result{twice, behind} {
		if _, err := r.RowsAffected(); !IsDuplicate(err) {
			t.Errorf("the failed one or the one behind it says %v, want the duplicate", err)
		}
	}
	if n := count(t, pool); n != 0 {
		t.Errorf("%d rows are left", n)
	}
}

func TestQueryBehindAFailedStatementTellsItsError(t *testing.T) {
	t.Parallel()
	pool, _ := gatheringPool(t)
	tx := begin(t, pool)
	held1(t, tx, 1)
	held1(t, tx, 1)
	var n int
	err := tx.QueryRowContext(t.Context(), `SELECT count(*) FROM a`).Scan(&n)
	if !IsDuplicate(err) {
		t.Errorf("the query says %v, want the duplicate", err)
	}
	if err := nowStatement.failed(err); !strings.HasPrefix(err.Error(), "run statement test.insertA: ") {
		t.Errorf("the query blames the wrong statement: %v", err)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	if n := count(t, pool); n != 0 {
		t.Errorf("%d rows are left", n)
	}
}

func TestFailedQueryTellsItsErrorAndLeavesTheConnectionUsable(t *testing.T) {
	t.Parallel()
	pool, _ := gatheringPool(t)
	tx := begin(t, pool)
	held1(t, tx, 1)
	for _, text := range []string{`SELECT 1 / (n - 1) FROM a`, `SELECT nothing FROM a`} {
		var n int
		if err := tx.QueryRowContext(t.Context(), text).Scan(&n); err == nil {
			t.Errorf("%s found %d", text, n)
		}
		_ = tx.Rollback()
		if n := count(t, pool); n != 0 {
			t.Errorf("%d rows are left", n)
		}
		tx = begin(t, pool)
		held1(t, tx, 1)
	}
}

func TestTransactionThatIsRolledBackOrDoesNothingSendsNothing(t *testing.T) {
	t.Parallel()
	pool, f := gatheringPool(t)
	tx := begin(t, pool)
	r := held1(t, tx, 1)
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	if _, err := r.RowsAffected(); err == nil {
		t.Error("the outcome of a statement that was never sent is known")
	}
	if err := begin(t, pool).Commit(); err != nil {
		t.Fatal(err)
	}
	if len(f.batches)+len(f.statements) > 0 {
		t.Errorf("sent %q, %q", f.batches, f.statements)
	}
}

// What a query finds must not depend on whether something waited for it.
func TestRowsAreTheSameTogetherAndAlone(t *testing.T) {
	t.Parallel()
	pool, _ := gatheringPool(t)
	const all = `SELECT g.n, 'text', true, false, 1.5::float8, NULL::text, g.n::integer, g.n::smallint, 2.5::real, sum(g.n) OVER (), 'bytes'::bytea, $1::text
		FROM generate_series(1, 3) AS g(n) ORDER BY g.n`
	read := func(ahead bool) (out [][]any) {
		tx := begin(t, pool)
		defer func() { _ = tx.Rollback() }()
		if ahead {
			held1(t, tx, 1)
		} else if _, err := tx.ExecContext(t.Context(), insertA, 1); err != nil {
			t.Fatal(err)
		}
		rows, err := tx.QueryContext(t.Context(), all, "an argument")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = rows.Close() }()
		names, err := rows.Columns()
		if err != nil || len(names) != 12 || names[0] != "n" {
			t.Fatalf("columns %q: %v", names, err)
		}
		for rows.Next() {
			var n, i, s, sum int64
			var word, argument string
			var yes, no bool
			var f, r float64
			var null sql.NullString
			var bytes []byte
			if err := rows.Scan(&n, &word, &yes, &no, &f, &null, &i, &s, &r, &sum, &bytes, &argument); err != nil {
				t.Fatal(err)
			}
			out = append(out, []any{n, word, yes, no, f, null, i, s, r, sum, string(bytes), argument})
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
		return out
	}
	alone, together := read(false), read(true)
	if len(alone) != 3 || !slices.EqualFunc(alone, together, slices.Equal[[]any]) {
		t.Errorf("alone %v, together %v", alone, together)
	}
}
