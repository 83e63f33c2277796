package store

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"gorm.io/gorm"
)

// kind is the type of a column in a set of rows, in PostgreSQL's words.
type kind string

// The types of columns, and what Rows.Add takes for them.
const (
	Text   kind = "text"             // string
	Bigint kind = "bigint"           // int64, for columns of 32 bits too
	Float  kind = "double precision" // float64
)

// Column is one column of the rows handed to a statement.
type Column struct {
	name string
	kind kind
}

// Col makes a column.
func Col(name string, k kind) Column { return Column{name, k} }

// Statement is one hand-written text for both engines. {rows} in it stands for
// a set of rows, named r, that is handed over as arrays on PostgreSQL and as
// JSON on SQLite; {now} for the database's clock in microseconds; {skip
// locked} for the clause by which PostgreSQL passes rows that others hold
// (SQLite has one writer and needs none); {for update} likewise.
// {each} SELECT x AS one … {/each} joins, to every row on its left, the values
// of a query that depends on that row, as each.value. id {any} SELECT … {/any}
// compares with a query that is run once, before: PostgreSQL cannot turn it
// around and run the query for every row of the table. id {words} $1 {/words}
// compares with the words of a text, such as several ids. {row} is where a row
// lies, by which the same statement finds it again faster than by its key.
// {again}ON CONFLICT …{/again} is left out on PostgreSQL when a transaction runs for
// the first time: arbitrating costs more than an insert, and a row that is there
// already has the transaction run again, see Tx.
type Statement struct {
	// Columns are those of {rows}.
	Columns []Column
	name    string
	texts   map[Engine]string
	// first is what PostgreSQL gets in a transaction that runs for the first time.
	first    string
	unsorted bool
	// arguments is how many PostgreSQL's text takes.
	arguments int
}

// Name is the package that defines the statement, and what the statement does
// there: "credit.charge". Errors and the page of hot statements tell it.
func (st *Statement) Name() string { return st.name }

// Forms are the texts that PostgreSQL gets of the statement: the whole of it, without
// what is in {again}, and as a fence.
func (st *Statement) Forms() []string {
	return []string{st.texts[Postgres], st.first, st.fencedText()}
}

// Unsorted says that the statement runs on the connections of GenericPlan, where
// PostgreSQL avoids sorting. It returns the statement.
func (st *Statement) Unsorted() *Statement {
	st.unsorted = true
	return st
}

// fencedText is what PostgreSQL gets of an UPDATE or DELETE that must change a number
// of rows, which stands behind all other arguments: a division by zero ends the
// transaction where it changes fewer, so that the commit may be sent behind it without
// waiting for the answer.
func (st *Statement) fencedText() string {
	return fmt.Sprintf("WITH changed AS (%s RETURNING 1) SELECT 1 / CASE WHEN count(*) < $%d THEN 0 ELSE 1 END FROM changed", st.texts[Postgres], st.arguments+1)
}

// failed classifies an error and names the statement in it: this one, or the one
// ahead of it that was held back, see gather, and is the one that failed. It is nil
// where there is no error.
func (st *Statement) failed(err error) error {
	return named(st.name, Classify(err))
}

// namedError is the error of a statement.
type namedError struct {
	name string
	err  error
}

// named gives an error the name of its statement, unless it has one.
func named(name string, err error) error {
	if _, ok := errors.AsType[*namedError](err); ok || err == nil {
		return err
	}
	return &namedError{name, err}
}

func (e *namedError) Error() string { return fmt.Sprintf("run statement %s: %v", e.name, e.err) }
func (e *namedError) Unwrap() error { return e.err }

// definitions are the statements by their names.
var definitions = map[string]*Statement{}

// Definitions returns all hand-written statements of the packages that a program
// is made of, in the order of their names.
func Definitions() []*Statement {
	return slices.SortedFunc(maps.Values(definitions), func(a, b *Statement) int { return cmp.Compare(a.name, b.name) })
}

// remember keeps a statement for Definitions.
func remember(st *Statement) *Statement {
	if definitions[st.name] != nil {
		panic("store: two statements are named " + st.name)
	}
	definitions[st.name] = st
	return st
}

var (
	scalar = regexp.MustCompile(`\$(\d+)`)
	again  = regexp.MustCompile(`(?s)\{again\}(.*?)\{/again\}`)
	// limit is what SQLite plans by: a statement with a bare parameter there is
	// prepared anew whenever it runs.
	limit = regexp.MustCompile(`LIMIT (\$\d+)`)
)

// Define prepares a statement whose {rows} has these columns. It makes the values
// of package variables, and panics where another statement has the same name, see
// Statement.Name.
func Define(name, body string, columns ...Column) *Statement {
	return DefinePerEngine(name, body, body, columns...)
}

// DefinePerEngine is Define for a statement that the engines say in different
// words. A text is empty where only the other engine runs the statement.
func DefinePerEngine(name, onPostgres, onSQLite string, columns ...Column) *Statement {
	return remember(&Statement{
		name: name, Columns: columns, arguments: scalars(onPostgres) + len(columns), first: forPostgres(again.ReplaceAllString(onPostgres, ""), columns),
		texts: map[Engine]string{
			Postgres: forPostgres(again.ReplaceAllString(onPostgres, "$1"), columns),
			SQLite:   forSQLite(again.ReplaceAllString(onSQLite, "$1"), columns),
		},
	})
}

// scalars returns how many $n a text has.
func scalars(body string) int {
	most := 0
	for _, m := range scalar.FindAllStringSubmatch(body, -1) {
		n, _ := strconv.Atoi(m[1])
		most = max(most, n)
	}
	return most
}

// forPostgres says a statement in the words of PostgreSQL.
func forPostgres(body string, columns []Column) string {
	return strings.NewReplacer(
		"{rows}", unnest(scalars(body), columns),
		"{now}", "(extract(epoch from clock_timestamp()) * 1000000)::bigint",
		"{skip locked}", "FOR UPDATE SKIP LOCKED",
		"{for update}", "FOR UPDATE",
		"{each}", "CROSS JOIN LATERAL (",
		"{/each}", ") AS each(value)",
		"{row}", "ctid",
		"{any}", "= ANY(ARRAY(",
		"{/any}", "))",
		"{words}", "= ANY(string_to_array(",
		"{/words}", ", ' '))",
	).Replace(body)
}

// forSQLite says a statement in the words of SQLite.
func forSQLite(body string, columns []Column) string {
	rows := jsonEach(scalars(body), columns)
	return strings.NewReplacer(
		// SQLite keeps the order of a CROSS JOIN: the rows first, and not
		// the whole table with the rows looked through for each of it.
		"{rows} JOIN", rows+" CROSS JOIN",
		"{rows}\nJOIN", rows+" CROSS JOIN",
		"{rows}", rows,
		"{now}", "CAST(unixepoch('subsec') * 1000000 AS INTEGER)",
		"{skip locked}", "",
		"{for update}", "",
		"{each}", "CROSS JOIN json_each((SELECT json_group_array(one) FROM (",
		"{/each}", "))) AS each",
		"{row}", "rowid",
		"{any}", "IN (",
		"{/any}", ")",
		"{words}", `IN (SELECT value FROM json_each('["' || replace(`,
		"{/words}", `, ' ', '","') || '"]'))`,
	).Replace(limit.ReplaceAllString(body, "LIMIT ($1 + 0)"))
}

// unnest is what {rows} stands for on PostgreSQL: the columns' arrays as rows named
// r. scalars is how many parameters of the text stand ahead of them.
func unnest(scalars int, columns []Column) string {
	var arrays, names []string
	for i, c := range columns {
		arrays = append(arrays, fmt.Sprintf("$%d::%s[]", scalars+i+1, c.kind))
		names = append(names, c.name)
	}
	return fmt.Sprintf("unnest(%s) AS r(%s)", strings.Join(arrays, ", "), strings.Join(names, ", "))
}

// jsonEach is what {rows} stands for on SQLite. The limit, which is none, keeps SQLite
// from making the text of a row anew for each of its columns: without it, accepting
// 100 users takes a quarter longer.
func jsonEach(scalars int, columns []Column) string {
	var fields []string
	for i, c := range columns {
		fields = append(fields, fmt.Sprintf("e.value ->> %d AS %s", i, c.name))
	}
	return fmt.Sprintf("(SELECT %s FROM (SELECT value FROM json_each($%d) LIMIT -1) AS e) AS r", strings.Join(fields, ", "), scalars+1)
}

// Rows is a set of rows for one statement.
type Rows struct {
	columns []Column
	values  [][]any
}

// Rows returns an empty set with room for n rows.
func (st *Statement) Rows(n int) *Rows {
	return &Rows{columns: st.Columns, values: make([][]any, 0, n)}
}

// Add appends a row; its values stand in the order of the columns: string for
// text, int64 for bigint, float64 for float.
func (r *Rows) Add(values ...any) { r.values = append(r.values, values) }

// Len returns how many rows the set has.
func (r *Rows) Len() int { return len(r.values) }

// Args returns the set as the engine's arguments: an array for each column on
// PostgreSQL, one JSON text on SQLite, none for a nil set.
func (r *Rows) Args(e Engine) ([]any, error) {
	if r == nil {
		return nil, nil
	}
	if e == SQLite {
		encoded, err := json.Marshal(r.values)
		if err != nil {
			return nil, fmt.Errorf("encode the rows: %w", err)
		}
		return []any{string(encoded)}, nil
	}
	args := make([]any, len(r.columns))
	for i, c := range r.columns {
		switch c.kind {
		case Text:
			args[i] = pick[string](r.values, i)
		case Bigint:
			args[i] = pick[int64](r.values, i)
		case Float:
			args[i] = pick[float64](r.values, i)
		}
	}
	return args, nil
}

func pick[T any](values [][]any, i int) []T {
	out := make([]T, len(values))
	for n, row := range values {
		out[n] = row[i].(T)
	}
	return out
}

// Conn runs statements, on the pool or in a transaction.
type Conn struct {
	pool gorm.ConnPool
	// first says that it is a transaction that runs for the first time.
	first bool
	// Engine is the kind of the database.
	Engine Engine
	// outage notes what came of each statement. It is nil in a transaction, whose end is
	// noted.
	outage *outage
	// attendance tells the number of this process. It is nil on SQLite.
	attendance *attendance
}

// text is what the connection runs for a statement.
func (c Conn) text(st *Statement) string {
	if c.first && c.Engine == Postgres {
		return st.first
	}
	return st.texts[c.Engine]
}

// Exec runs a statement with a set of rows, nil for none, and the values of $1, $2
// and so on. It returns how many rows were changed.
func (c Conn) Exec(ctx context.Context, st *Statement, r *Rows, args ...any) (int64, error) {
	set, err := r.Args(c.Engine)
	if err != nil {
		return 0, st.failed(err)
	}
	result, err := c.pool.ExecContext(ctx, c.text(st), append(args, set...)...)
	if err != nil {
		return 0, c.outage.note(st.failed(err), true)
	}
	n, err := result.RowsAffected()
	return n, c.outage.note(st.failed(err), true)
}

// QueryRow runs a query for one row. GORM's own QueryRowContext hands out a row that
// panics when the statement could not be prepared.
func (c Conn) QueryRow(ctx context.Context, st *Statement, args ...any) Row {
	found, err := c.pool.QueryContext(ctx, c.text(st), args...) //nolint:rowserrcheck // Scan asks for the error
	return Row{st, c.outage, found, err}
}

// Row is the first row of a query, or why there is none.
type Row struct {
	statement *Statement
	outage    *outage
	rows      *sql.Rows
	err       error
}

// Scan reads the row, as sql.Row does: sql.ErrNoRows when there is none. Its other
// errors are classified and name the statement, as those of Conn.Exec are.
func (r Row) Scan(dest ...any) error { return r.outage.note(r.scan(dest), false) }

func (r Row) scan(dest []any) error {
	if r.err != nil {
		return r.statement.failed(r.err)
	}
	defer func() { _ = r.rows.Close() }()
	if !r.rows.Next() {
		if err := r.rows.Err(); err != nil {
			return r.statement.failed(err)
		}
		return sql.ErrNoRows
	}
	if err := r.rows.Scan(dest...); err != nil {
		return r.statement.failed(err)
	}
	return r.statement.failed(r.rows.Close())
}

// Collect runs a query, see Conn.Exec, and returns what scan makes of each row: scan
// is handed a function that reads the row's columns, as sql.Rows.Scan does.
func Collect[T any](ctx context.Context, c Conn, st *Statement, r *Rows, scan func(func(...any) error) (T, error), args ...any) ([]T, error) {
	out, err := collect(ctx, c, st, r, scan, args)
	return out, c.outage.note(err, false)
}

func collect[T any](ctx context.Context, c Conn, st *Statement, r *Rows, scan func(func(...any) error) (T, error), args []any) ([]T, error) {
	set, err := r.Args(c.Engine)
	if err != nil {
		return nil, st.failed(err)
	}
	found, err := c.pool.QueryContext(ctx, c.text(st), append(args, set...)...)
	if err != nil {
		return nil, st.failed(err)
	}
	defer func() { _ = found.Close() }()
	var out []T
	for found.Next() {
		one, err := scan(found.Scan)
		if err != nil {
			return nil, st.failed(err)
		}
		out = append(out, one)
	}
	return out, st.failed(found.Err())
}
