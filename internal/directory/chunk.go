package directory

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"usersync/internal/outbox"
	"usersync/internal/store"
	"usersync/internal/tenant"
	"usersync/internal/user"
)

// Chunk is a part of an upload: some of its lines.
type Chunk struct {
	Number int // from 0
	Body   []byte
	// Refused are the lines that could not even be read.
	Refused []ImportError
}

var receiveStatement = store.Define("directory.receive", `
UPDATE imports SET done = done + $3, refused = refused + $3, updated_at = {now}
WHERE id = $1 AND organization_id = $2 AND status = 'receiving' RETURNING refused`)

var insertChunkStatement = store.Define("directory.insertChunk", `
INSERT INTO import_chunks (import_id, number, body) VALUES ($1, $2, $3) ON CONFLICT (import_id, number) DO NOTHING`)

// AddChunk stores the next lines of an upload.
func AddChunk(ctx context.Context, o *store.Org, id string, c Chunk) error {
	return o.Tx(ctx, func(tx *store.Tx) error {
		var refused int64
		lines := countLines(c.Refused)
		err := tx.QueryRow(ctx, receiveStatement, id, o.ID(), lines).Scan(&refused)
		if errors.Is(err, sql.ErrNoRows) {
			return ErrNoImport
		}
		if err != nil {
			return fmt.Errorf("count the lines of a chunk: %w", err)
		}
		if err := keepImportErrors(ctx, tx, id, refused-lines, c.Refused); err != nil {
			return fmt.Errorf("keep the errors of a chunk: %w", err)
		}
		if len(c.Body) == 0 {
			return nil
		}
		if _, err := tx.Exec(ctx, insertChunkStatement, nil, id, c.Number, string(c.Body)); err != nil {
			return fmt.Errorf("insert a chunk: %w", err)
		}
		return nil
	})
}

// countLines counts the lines that errors are about; those of one line stand
// together.
func countLines(list []ImportError) (n int64) {
	for i, e := range list {
		if i == 0 || list[i-1].Line != e.Line {
			n++
		}
	}
	return n
}

var insertImportErrorsStatement = store.Define("directory.insertImportErrors", `
INSERT INTO import_errors (import_id, line, position, field, message)
SELECT $1, r.line, r.position, r.field, r.message FROM {rows} WHERE true
ON CONFLICT (import_id, line, position) DO NOTHING`,
	store.Col("line", store.Bigint), store.Col("position", store.Bigint), store.Col("field", store.Text), store.Col("message", store.Text))

// keepImportErrors stores errors as long as there is room beside the lines
// refused before.
func keepImportErrors(ctx context.Context, tx *store.Tx, id string, before int64, list []ImportError) error {
	set := insertImportErrorsStatement.Rows(len(list))
	position := int64(0)
	for i, e := range list {
		position++
		if i == 0 || list[i-1].Line != e.Line {
			position = 0
			before++
		}
		if before > KeptImportErrors {
			break
		}
		set.Add(e.Line, position, e.Field, e.Message)
	}
	if set.Len() == 0 {
		return nil
	}
	return tx.Later(ctx, insertImportErrorsStatement, set, nil, id)
}

var nextChunkStatement = store.Define("directory.nextChunk", `
SELECT c.number, c.body FROM import_chunks c JOIN imports i ON i.id = c.import_id
WHERE c.import_id = $1 AND i.organization_id = $2 AND i.status IN ('queued', 'running')
ORDER BY c.number LIMIT 1`)

// NextChunk returns the first lines of an import that are not dealt
// with; ok is false when there are none.
func NextChunk(ctx context.Context, o *store.Org, id string) (c Chunk, ok bool, err error) {
	var body string
	err = o.Reader().QueryRow(ctx, nextChunkStatement, id, o.ID()).Scan(&c.Number, &body)
	if errors.Is(err, sql.ErrNoRows) {
		return c, false, nil
	}
	c.Body = []byte(body)
	return c, err == nil, store.Classify(err)
}

// Line is a person and the number of the line that names them.
type Line struct {
	Line int64
	Person
}

// Outcome is what becomes of the lines of a chunk.
type Outcome struct {
	Number  int
	Salt    []byte // the organization's
	Lines   []Line
	Refused []ImportError // those of one line together
}

var (
	dropChunkStatement = store.Define("directory.dropChunk", `DELETE FROM import_chunks WHERE import_id = $1 AND number = $2`)
	advanceStatement   = store.Define("directory.advance", `
UPDATE imports SET done = done + $3 + $4, saved = saved + $3, refused = refused + $4, status = 'running',
    started_at = CASE WHEN started_at = 0 THEN {now} ELSE started_at END, updated_at = {now}
WHERE id = $1 AND organization_id = $2 AND status IN ('queued', 'running') RETURNING refused`)
)

// erasedMessage refuses the line of a person who was erased.
const erasedMessage = "was erased"

// SaveChunk stores the people of a chunk, counts its lines and removes the chunk. It
// stands behind the fence of the run, so a chunk counts once. The error is
// outbox.ErrClaimLost when the chunk is gone or the import has ended.
func SaveChunk(ctx context.Context, tx *store.Tx, organization, id string, o Outcome) error {
	n, err := tx.Exec(ctx, dropChunkStatement, nil, id, o.Number)
	if err := outbox.Held(n, err); err != nil {
		return err
	}
	// An erasure takes the same lock: it sees all these people, or they see it.
	if err := tenant.Lock(ctx, tx, organization); err != nil {
		return fmt.Errorf("lock the organization: %w", err)
	}
	people, refused, err := withoutErased(ctx, tx, organization, o)
	if err != nil {
		return fmt.Errorf("leave out people who were erased: %w", err)
	}
	if err := savePeople(ctx, tx, organization, o.Salt, people); err != nil {
		return fmt.Errorf("save the people of a chunk: %w", err)
	}
	var total int64
	lines := countLines(refused)
	err = tx.QueryRow(ctx, advanceStatement, id, organization, len(people), lines).Scan(&total)
	if errors.Is(err, sql.ErrNoRows) {
		return outbox.ErrClaimLost // the import has ended meanwhile
	}
	if err != nil {
		return store.Classify(err)
	}
	return keepImportErrors(ctx, tx, id, total-lines, refused)
}

// withoutErased returns the people to store and all lines refused.
func withoutErased(ctx context.Context, tx *store.Tx, organization string, o Outcome) ([]Person, []ImportError, error) {
	keys := make([]string, len(o.Lines))
	for i, l := range o.Lines {
		keys[i] = l.Email.Key()
	}
	erased, err := user.ErasedAmong(ctx, tx, organization, o.Salt, keys)
	if err != nil {
		return nil, nil, err
	}
	people, refused := make([]Person, 0, len(o.Lines)), o.Refused
	for _, l := range o.Lines {
		if erased[l.Email.Key()] {
			refused = append(refused, ImportError{Line: l.Line, Field: "email", Message: erasedMessage})
			continue
		}
		people = append(people, l.Person)
	}
	return people, refused, nil
}
