package directory

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"usersync/internal/audit"
	"usersync/internal/outbox"
	"usersync/internal/store"
	"usersync/internal/tenant"
	"usersync/internal/user"
	"usersync/internal/usersync"
)

// importRow is a row of imports.
type importRow struct {
	ID             string `gorm:"primaryKey"`
	OrganizationID string
	Status         string
	Format         string
	Encoding       string
	Ignored        string // JSON
	Actor          string
	Lines          int64
	Done           int64
	Saved          int64
	Refused        int64
	Message        string
	CreatedAt      int64 `gorm:"autoCreateTime:false"`
	StartedAt      int64
	FinishedAt     int64
	UpdatedAt      int64 `gorm:"autoUpdateTime:false"`
}

func (importRow) TableName() string { return "imports" }

func (r importRow) imported() (Import, error) {
	i := Import{
		ID: r.ID, Status: ImportStatus(r.Status), Format: r.Format, Encoding: r.Encoding, Lines: r.Lines, Done: r.Done,
		Saved: r.Saved, Refused: r.Refused, Message: r.Message, CreatedAt: store.Stamp(r.CreatedAt), StartedAt: store.Stamp(r.StartedAt), FinishedAt: store.Stamp(r.FinishedAt),
	}
	i.Estimate(time.Now())
	return i, store.Decode(r.Ignored, &i.IgnoredColumns)
}

// ErrNoImport is the refusal of an id that names no import of the organization.
var ErrNoImport = usersync.Errorf(usersync.CodeNotFound, "Import not found")

// KeptImportErrors bounds the lines of an import whose errors are kept; the
// rest are counted.
const KeptImportErrors = 10_000

// AbandonedAfter is after how long without a sign of life an upload counts as
// broken off: longer than any may take.
const AbandonedAfter = time.Hour

// BeginImport notes that a file is being uploaded. It counts for nothing until
// CompleteImport.
func BeginImport(ctx context.Context, o *store.Org, actor, format string) (id string, err error) {
	id = usersync.NewID(usersync.PrefixImport)
	now := store.Micros(time.Now())
	row := importRow{ID: id, OrganizationID: o.ID(), Status: string(ImportReceiving), Format: format, Actor: actor, CreatedAt: now, UpdatedAt: now}
	return id, store.Classify(o.GORMWrite(ctx).Create(&row).Error)
}

// Chunk is some lines of an upload.
type Chunk struct {
	Number int // from 0
	Body   []byte
	// Refused are the lines that could not even be read.
	Refused []ImportError
}

var receiveStatement = store.Define("directory.receiveImport", `
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
			return err
		}
		if err := keepImportErrors(ctx, tx, id, refused-lines, c.Refused); err != nil || len(c.Body) == 0 {
			return err
		}
		_, err = tx.Exec(ctx, insertChunkStatement, nil, id, c.Number, string(c.Body))
		return err
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
	store.Col("line", store.Bigint), store.Col("position", store.Integer), store.Col("field", store.Text), store.Col("message", store.Text))

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

// Totals is what is known of a file once it was read to its end.
type Totals struct {
	Lines    int64
	Encoding string
	Ignored  []string
}

// CompleteImport makes an upload count and writes the task that works it.
func CompleteImport(ctx context.Context, o *store.Org, id string, totals Totals, task usersync.Task) (out Import, err error) {
	ignored, err := json.Marshal(totals.Ignored)
	if err != nil {
		return out, err
	}
	err = o.Tx(ctx, func(tx *store.Tx) error {
		row := importRow{}
		err := tx.GORM().Clauses(tx.ForUpdate()...).First(&row, "id = ? AND organization_id = ? AND status = ?", id, o.ID(), ImportReceiving).Error
		if store.NotFound(err) {
			return ErrNoImport
		}
		if err != nil {
			return err
		}
		row.Status, row.Lines, row.Encoding, row.Ignored, row.UpdatedAt = string(ImportQueued), totals.Lines, totals.Encoding, string(ignored), store.Micros(time.Now())
		if err := tx.GORM().Select("status", "lines", "encoding", "ignored", "updated_at").Updates(&row).Error; err != nil {
			return err
		}
		if err := outbox.Enqueue(ctx, tx, task); err != nil {
			return err
		}
		if out, err = row.imported(); err != nil {
			return err
		}
		return audit.Record(ctx, tx, o.ID(), row.Actor, "directory.import", id)
	})
	return out, err
}

// shownImport is the condition of the imports that are shown: complete ones.
const shownImport = "organization_id = ? AND status <> 'receiving'"

// ListImports returns up to limit imports of the organization, newest first.
func ListImports(ctx context.Context, o *store.Org, before string, limit int) ([]Import, error) {
	var list []importRow
	if err := store.Page(o.GORM(ctx).Where(shownImport, o.ID()), before, limit).Find(&list).Error; err != nil {
		return nil, store.Classify(err)
	}
	out := make([]Import, 0, len(list))
	for _, row := range list {
		i, err := row.imported()
		if err != nil {
			return nil, err
		}
		out = append(out, i)
	}
	return out, nil
}

// GetImport returns one import.
func GetImport(ctx context.Context, o *store.Org, id string) (Import, error) {
	var row importRow
	err := o.GORM(ctx).Where(shownImport, o.ID()).First(&row, "id = ?", id).Error
	if store.NotFound(err) {
		return Import{}, ErrNoImport
	}
	if err != nil {
		return Import{}, store.Classify(err)
	}
	return row.imported()
}

// ErrorPlace says behind which error of an import to read on; the zero
// place is before the first.
type ErrorPlace struct {
	Line     int64
	position int64
}

var importErrorsStatement = store.Define("directory.importErrors", `
SELECT e.line, e.position, e.field, e.message FROM import_errors e
WHERE e.import_id = $1 AND (e.line, e.position) > ($3, $4)
    AND EXISTS (SELECT 1 FROM imports i WHERE i.id = $1 AND i.organization_id = $2)
ORDER BY e.line, e.position LIMIT $5`)

// ListErrors returns up to limit kept errors of an import, in the order of
// the file, and the place to read on from.
func ListErrors(ctx context.Context, o *store.Org, id string, after ErrorPlace, limit int) ([]ImportError, ErrorPlace, error) {
	found, err := store.Collect(ctx, o.Reader(), importErrorsStatement, nil, func(scan func(...any) error) (e ImportError, err error) {
		err = scan(&e.Line, &after.position, &e.Field, &e.Message)
		after.Line = e.Line
		return e, err
	}, id, o.ID(), after.Line, after.position, limit)
	return found, after, err
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

// Line is a person and the line of the file that told of them.
type Line struct {
	Line int64
	Person
}

// Outcome is what becomes of a chunk.
type Outcome struct {
	Number  int
	Salt    []byte // the organization's
	Lines   []Line
	Refused []ImportError // those of one line together
}

var (
	dropChunkStatement = store.Define("directory.dropChunk", `DELETE FROM import_chunks WHERE import_id = $1 AND number = $2`)
	advanceStatement   = store.Define("directory.advanceImport", `
UPDATE imports SET done = done + $3 + $4, saved = saved + $3, refused = refused + $4, status = 'running',
    started_at = CASE WHEN started_at = 0 THEN {now} ELSE started_at END, updated_at = {now}
WHERE id = $1 AND organization_id = $2 AND status IN ('queued', 'running') RETURNING refused`)
)

// erasedMessage refuses the line of a person who was erased.
const erasedMessage = "was erased"

// SettleChunk stores the people of a chunk, counts its lines and removes
// it. It stands behind the fence of the run, so a chunk counts once.
func SettleChunk(ctx context.Context, tx *store.Tx, organization, id string, o Outcome) error {
	n, err := tx.Exec(ctx, dropChunkStatement, nil, id, o.Number)
	if err := outbox.Held(n, err); err != nil {
		return err
	}
	// An erasure takes the same lock: it sees all these people, or they see it.
	if err := tenant.Lock(ctx, tx, organization); err != nil {
		return err
	}
	people, refused, err := withoutErased(ctx, tx, organization, o)
	if err != nil {
		return err
	}
	if err := savePeople(ctx, tx, organization, o.Salt, people); err != nil {
		return err
	}
	var total int64
	lines := countLines(refused)
	err = tx.QueryRow(ctx, advanceStatement, id, organization, len(people), lines).Scan(&total)
	if errors.Is(err, sql.ErrNoRows) {
		return outbox.ErrClaimLost // ended meanwhile
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

var finishImportStatement = store.Define("directory.finishImport", `
UPDATE imports SET finished_at = {now}, updated_at = {now}, started_at = CASE WHEN started_at = 0 THEN {now} ELSE started_at END,
    status = CASE WHEN saved = 0 AND refused > 0 THEN 'failed' ELSE 'succeeded' END,
    message = CASE WHEN saved = 0 AND refused > 0 THEN 'No line could be imported.' ELSE '' END
WHERE id = $1 AND organization_id = $2 AND status IN ('queued', 'running')`)

// FinishImport ends an import whose chunks are all dealt with.
func FinishImport(ctx context.Context, tx *store.Tx, organization, id string) error {
	return tx.Later(ctx, finishImportStatement, nil, nil, id, organization)
}

var (
	failImportStatement = store.Define("directory.failImport", `
UPDATE imports SET finished_at = {now}, updated_at = {now}, status = 'failed', message = $3
WHERE id = $1 AND organization_id = $2 AND status IN ('queued', 'running')`)
	dropChunksStatement = store.Define("directory.dropChunks", `DELETE FROM import_chunks WHERE import_id = $1`)
)

// FailImport ends an import that cannot go on, and removes what is left of it.
func FailImport(ctx context.Context, tx *store.Tx, organization, id, message string) error {
	n, err := tx.Exec(ctx, failImportStatement, nil, id, organization, message)
	if err != nil || n == 0 {
		return err
	}
	_, err = tx.Exec(ctx, dropChunksStatement, nil, id)
	return err
}

var (
	dropReceivingStatement = store.Define("directory.dropReceiving", `DELETE FROM imports WHERE id = $1 AND organization_id = $2 AND status = 'receiving'`)
	dropErrorsStatement    = store.Define("directory.dropErrors", `DELETE FROM import_errors WHERE import_id = $1`)
)

// DropImport removes an upload that broke off.
func DropImport(ctx context.Context, o *store.Org, id string) error {
	return o.Tx(ctx, func(tx *store.Tx) error {
		n, err := tx.Exec(ctx, dropReceivingStatement, nil, id, o.ID())
		if err != nil || n == 0 {
			return err
		}
		//lint:loop one statement for each table
		for _, st := range []*store.Statement{dropChunksStatement, dropErrorsStatement} {
			if err := tx.Later(ctx, st, nil, nil, id); err != nil {
				return err
			}
		}
		return nil
	})
}

var abandonedStatement = store.Define("directory.abandonedImports", `
SELECT organization_id || ' ' || id FROM imports WHERE status = 'receiving' AND updated_at < {now} - $1 ORDER BY updated_at LIMIT $2`)

// DropAbandonedImports removes up to limit uploads that ended without a word,
// because the process that received them died.
func DropAbandonedImports(ctx context.Context, s *store.Store, limit int) (int, error) {
	found, err := store.Collect(ctx, s.Reader(), abandonedStatement, nil, func(scan func(...any) error) (both string, err error) {
		return both, scan(&both)
	}, AbandonedAfter.Microseconds(), limit)
	if err != nil {
		return 0, err
	}
	//lint:loop up to limit broken uploads, each removed in a transaction
	for _, both := range found {
		organization, id, _ := strings.Cut(both, " ")
		if err := DropImport(ctx, s.Org(organization), id); err != nil {
			return 0, err
		}
	}
	return len(found), nil
}
