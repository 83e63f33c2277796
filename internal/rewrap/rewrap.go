// Package rewrap puts every sealed value under the key that seals now.
package rewrap

import (
	"context"
	"fmt"
	"strings"

	"usersync/internal/delivery"
	"usersync/internal/followup/catalog"
	"usersync/internal/idempotency"
	"usersync/internal/platform"
	"usersync/internal/seal"
	"usersync/internal/store"
	"usersync/internal/tenant"
)

// sealedColumn is a column that holds sealed values, among others when it has a
// mark.
type sealedColumn struct {
	table, column string
	key           []string // the primary key
	mark          string   // what stands before a sealed value
	touch         string   // what else is written with a new value
	place         func(organization string, key []string) string
	// former is the place that builds before the first release sealed for, which did
	// not name the organization. It is nil where it was the same.
	former     func(key []string) string
	page, swap *store.Statement
}

// sealedColumns are all of them: THE LIST.
var sealedColumns = withStatements(
	sealedColumn{
		table: "organizations", column: "secrets", key: []string{"id"}, touch: ", updated_at = organizations.updated_at + 1",
		place: func(_ string, key []string) string { return tenant.SecretsPlace(key[0]) },
	},
	endpointColumn("secret"), endpointColumn("old_secret"),
	sealedColumn{
		table: "connections", column: "credentials", key: []string{"id"},
		place:  func(organization string, key []string) string { return platform.CredentialsPlace(organization, key[0]) },
		former: func(key []string) string { return "connections/" + key[0] + "/credentials" },
	},
	sealedColumn{
		table: "pushes", column: "removal", key: []string{"connection_id", "user_id"},
		place: func(organization string, key []string) string {
			return platform.RemovalPlace(organization, key[0], key[1])
		},
		former: func(key []string) string { return "pushes/" + key[0] + "/" + key[1] + "/removal" },
	},
	sealedColumn{
		table: "follow_up_headers", column: "sealed", key: []string{"id"},
		place: func(organization string, key []string) string { return catalog.HeadersPlace(organization, key[0]) },
	},
	sealedColumn{
		table: "idempotency_keys", column: "acceptance", key: []string{"organization_id", "scope", "key"}, mark: idempotency.AnswerPrefix,
		place: func(organization string, key []string) string {
			return idempotency.AnswerPlace(organization, idempotency.Key{Scope: key[1], Key: key[2]})
		},
	},
)

func endpointColumn(name string) sealedColumn {
	return sealedColumn{
		table: "webhook_endpoints", column: name, key: []string{"id"},
		place:  func(organization string, key []string) string { return delivery.SecretPlace(organization, key[0]) },
		former: func(key []string) string { return "webhook_endpoints/" + key[0] + "/secret" },
	}
}

// withStatements gives each column its statements.
func withStatements(columns ...sealedColumn) []sealedColumn {
	for i, c := range columns {
		columns[i].page, columns[i].swap = c.pageStatement(), c.swapStatement()
	}
	return columns
}

func (c sealedColumn) String() string { return c.table + "." + c.column }

// sealedValue is a sealed value as it was read.
type sealedValue struct {
	organization string
	key          []string
	value        string // with its mark
}

// pageStatement reads the sealed values behind a key, in the order of keys.
func (c sealedColumn) pageStatement() *store.Statement {
	after := make([]string, len(c.key))
	for i := range c.key {
		after[i] = fmt.Sprintf("$%d", i+2)
	}
	keys, organization := strings.Join(c.key, ", "), "organization_id"
	if c.table == "organizations" {
		organization = "id"
	}
	return store.Define("rewrap.page."+c.String(), fmt.Sprintf(`
SELECT %s, %s, %s FROM %s WHERE (%s) > (%s) AND %s <> '' AND %s LIKE '%s%%' ORDER BY %s LIMIT $1`,
		organization, keys, c.column, c.table, keys, strings.Join(after, ", "), c.column, c.column, c.mark, keys))
}

// swapStatement writes new values where the old ones still are.
func (c sealedColumn) swapStatement() *store.Statement {
	columns := []store.Column{store.Col("before", store.Text), store.Col("after", store.Text)}
	var same strings.Builder
	for i, name := range c.key {
		columns = append(columns, store.Col(fmt.Sprintf("key%d", i), store.Text))
		fmt.Fprintf(&same, " AND %s.%s = r.key%d", c.table, name, i)
	}
	return store.Define("rewrap.swap."+c.String(), fmt.Sprintf(`UPDATE %s SET %s = r.after%s FROM {rows} WHERE %s.%s = r.before%s`, c.table, c.column, c.touch, c.table, c.column, same.String()), columns...)
}

// rewrapBatch is how many values are read, and at most written, at once.
const rewrapBatch = 500

// sealedPage returns the next values behind a key.
func sealedPage(ctx context.Context, s *store.Store, c sealedColumn, after []string) ([]sealedValue, error) {
	args := []any{rewrapBatch}
	for _, k := range after {
		args = append(args, k)
	}
	return store.Collect(ctx, s.Reader(), c.page, nil, func(scan func(...any) error) (v sealedValue, err error) {
		v.key = make([]string, len(c.key))
		to := make([]any, 0, len(c.key)+2)
		to = append(to, &v.organization)
		for i := range v.key {
			to = append(to, &v.key[i])
		}
		return v, scan(append(to, &v.value)...)
	}, args...)
}

// eachSealed calls fn with the sealed values of a column, page by page.
func eachSealed(ctx context.Context, s *store.Store, c sealedColumn, fn func([]sealedValue) error) error {
	after := make([]string, len(c.key))
	//lint:loop follows a cursor, page by page
	for {
		list, err := sealedPage(ctx, s, c, after)
		if err != nil || len(list) == 0 {
			return err
		}
		if err := fn(list); err != nil {
			return err
		}
		after = list[len(list)-1].key
	}
}

// Rewrapped is what became of the sealed values of one column.
type Rewrapped struct {
	Column string
	// Values were read, of which Changed are wrapped under the first key now and
	// Moved were written by others meanwhile.
	Values, Changed, Moved int64
	// Unopened cannot be: their key is missing, or they were tampered with. Err
	// says why of the last.
	Unopened int64
	Err      error
}

// Run wraps the keys of all sealed values under the first sealing key, in
// batches, while the service runs: a value that others write meanwhile stays
// theirs. What was done stays done when it is interrupted, and is not done again.
// tell is called after every batch with how far a column is.
func Run(ctx context.Context, s *store.Store, tell func(Rewrapped)) ([]Rewrapped, error) {
	var out []Rewrapped
	//lint:loop one walk for each column that is sealed
	for _, c := range sealedColumns {
		done := Rewrapped{Column: c.String()}
		err := eachSealed(ctx, s, c, func(list []sealedValue) error {
			if err := rewrapValues(ctx, s, c, list, &done); err != nil {
				return err
			}
			tell(done)
			return nil
		})
		if err != nil {
			return out, err
		}
		out = append(out, done)
	}
	return out, nil
}

func rewrapValues(ctx context.Context, s *store.Store, c sealedColumn, list []sealedValue, done *Rewrapped) error {
	set := c.swap.Rows(len(list))
	for _, v := range list {
		done.Values++
		sealed, changed, err := c.rewrap(s.Sealer(), v)
		switch {
		case err != nil:
			done.Unopened, done.Err = done.Unopened+1, err
		case changed:
			row := []any{v.value, c.mark + sealed}
			for _, k := range v.key {
				row = append(row, k)
			}
			set.Add(row...)
		}
	}
	if set.Len() == 0 {
		return nil
	}
	n, err := s.Writer().Exec(ctx, c.swap, set)
	done.Changed += n
	done.Moved += int64(set.Len()) - n
	return err
}

// rewrap returns a value under the first key and bound to its place, and whether that
// changed anything. Only a value that was bound to its former place is sealed anew.
func (c sealedColumn) rewrap(sealer store.Sealer, v sealedValue) (sealed string, changed bool, err error) {
	value, place := strings.TrimPrefix(v.value, c.mark), c.place(v.organization, v.key)
	if c.former == nil {
		return sealer.Rewrap(value, place)
	}
	if _, err := sealer.Open(value, place); err == nil {
		return sealer.Rewrap(value, place)
	}
	plain, err := sealer.Open(value, c.former(v.key))
	if err != nil {
		return "", false, fmt.Errorf("open a value: %w", err)
	}
	sealed, err = sealer.Seal(plain, place)
	return sealed, true, err
}

// SealedKeys counts the sealed values under each sealing key, by its id.
func SealedKeys(ctx context.Context, s *store.Store) (map[string]int64, error) {
	out := map[string]int64{}
	//lint:loop one walk for each column that is sealed
	for _, c := range sealedColumns {
		err := eachSealed(ctx, s, c, func(list []sealedValue) error {
			for _, v := range list {
				id, err := seal.KeyID(strings.TrimPrefix(v.value, c.mark))
				if err != nil {
					id = "" // no sealed value at all
				}
				out[id]++
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}
