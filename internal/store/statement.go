package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"gorm.io/gorm"
)

// kind is the type of a column in a set of rows, in PostgreSQL's words.
type kind string

const (
	text    kind = "text"
	bigint  kind = "bigint"
	float   kind = "double precision"
	integer      = bigint
)

// column is one column of the rows handed to a statement.
type column struct {
	name string
	kind kind
}

func col(name string, k kind) column { return column{name, k} }

// statement is one hand-written text for both engines. {rows} in it stands for
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
type statement struct {
	texts   map[engineName]string
	columns []column
}

var (
	scalar = regexp.MustCompile(`\$(\d+)`)
	// limit is what SQLite plans by: a statement with a bare parameter there is
	// prepared anew whenever it runs.
	limit = regexp.MustCompile(`LIMIT (\$\d+)`)
)

// define prepares a statement whose {rows} has these columns.
func define(body string, columns ...column) *statement {
	return remember(translate(body, columns))
}

// translate says a statement in the words of each engine.
func translate(body string, columns []column) *statement {
	scalars := 0
	for _, m := range scalar.FindAllStringSubmatch(body, -1) {
		n, _ := strconv.Atoi(m[1])
		scalars = max(scalars, n)
	}
	return &statement{columns: columns, texts: map[engineName]string{
		postgres: strings.NewReplacer(
			"{rows}", unnest(scalars, columns),
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
		).Replace(body),
		sqlite: strings.NewReplacer(
			// SQLite keeps the order of a CROSS JOIN: the rows first, and not
			// the whole table with the rows looked through for each of it.
			"{rows} JOIN", jsonEach(scalars, columns)+" CROSS JOIN",
			"{rows}\nJOIN", jsonEach(scalars, columns)+" CROSS JOIN",
			"{rows}", jsonEach(scalars, columns),
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
		).Replace(limit.ReplaceAllString(body, "LIMIT ($1 + 0)")),
	}}
}

// perEngine prepares a statement that the engines say in different words.
func perEngine(onPostgres, onSQLite string, columns ...column) *statement {
	st := translate(onPostgres, columns)
	st.texts[sqlite] = translate(onSQLite, columns).texts[sqlite]
	return remember(st)
}

func unnest(scalars int, columns []column) string {
	var arrays, names []string
	for i, c := range columns {
		arrays = append(arrays, fmt.Sprintf("$%d::%s[]", scalars+i+1, c.kind))
		names = append(names, c.name)
	}
	return fmt.Sprintf("unnest(%s) AS r(%s)", strings.Join(arrays, ", "), strings.Join(names, ", "))
}

func jsonEach(scalars int, columns []column) string {
	var fields []string
	for i, c := range columns {
		fields = append(fields, fmt.Sprintf("e.value ->> %d AS %s", i, c.name))
	}
	return fmt.Sprintf("(SELECT %s FROM json_each($%d) AS e) AS r", strings.Join(fields, ", "), scalars+1)
}

// rows is a set of rows for one statement.
type rows struct {
	columns []column
	values  [][]any
}

// rows returns an empty set with room for n rows.
func (st *statement) rows(n int) *rows {
	return &rows{columns: st.columns, values: make([][]any, 0, n)}
}

// add appends a row; its values stand in the order of the columns: string for
// text, int64 for bigint, float64 for float.
func (r *rows) add(values ...any) { r.values = append(r.values, values) }

// len returns how many rows the set has.
func (r *rows) len() int { return len(r.values) }

// args returns the set as the engine's arguments.
func (r *rows) args(e engineName) ([]any, error) {
	if r == nil {
		return nil, nil
	}
	if e == sqlite {
		encoded, err := json.Marshal(r.values)
		return []any{string(encoded)}, err
	}
	args := make([]any, len(r.columns))
	for i, c := range r.columns {
		switch c.kind {
		case text:
			args[i] = pick[string](r.values, i)
		case bigint:
			args[i] = pick[int64](r.values, i)
		case float:
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

// conn runs statements, on the pool or in a transaction.
type conn struct {
	pool   gorm.ConnPool
	engine engineName
}

func (c conn) exec(ctx context.Context, st *statement, r *rows, args ...any) (int64, error) {
	set, err := r.args(c.engine)
	if err != nil {
		return 0, err
	}
	result, err := c.pool.ExecContext(ctx, st.texts[c.engine], append(args, set...)...)
	if err != nil {
		return 0, classify(err)
	}
	n, err := result.RowsAffected()
	return n, classify(err)
}

// row runs a query for one row. GORM's own QueryRowContext hands out a row that
// panics when the statement could not be prepared.
func (c conn) row(ctx context.Context, st *statement, args ...any) oneRow {
	found, err := c.pool.QueryContext(ctx, st.texts[c.engine], args...) //nolint:rowserrcheck // Scan asks for the error
	return oneRow{found, err}
}

// oneRow is the first row of a query, or why there is none.
type oneRow struct {
	rows *sql.Rows
	err  error
}

// Scan reads the row, as sql.Row does: sql.ErrNoRows when there is none.
func (r oneRow) Scan(dest ...any) error {
	if r.err != nil {
		return r.err
	}
	defer func() { _ = r.rows.Close() }()
	if !r.rows.Next() {
		if err := r.rows.Err(); err != nil {
			return err
		}
		return sql.ErrNoRows
	}
	if err := r.rows.Scan(dest...); err != nil {
		return err
	}
	return r.rows.Close()
}

// collect runs a query and returns what scan makes of each row.
func collect[T any](ctx context.Context, c conn, st *statement, r *rows, scan func(func(...any) error) (T, error), args ...any) ([]T, error) {
	set, err := r.args(c.engine)
	if err != nil {
		return nil, err
	}
	found, err := c.pool.QueryContext(ctx, st.texts[c.engine], append(args, set...)...)
	if err != nil {
		return nil, classify(err)
	}
	defer func() { _ = found.Close() }()
	var out []T
	for found.Next() {
		one, err := scan(found.Scan)
		if err != nil {
			return nil, classify(err)
		}
		out = append(out, one)
	}
	return out, classify(found.Err())
}
