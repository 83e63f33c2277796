package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"strings"
	"time"

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

func (r importRow) imported() (usersync.Import, error) {
	i := usersync.Import{
		ID: r.ID, Status: usersync.ImportStatus(r.Status), Format: r.Format, Encoding: r.Encoding, Lines: r.Lines, Done: r.Done,
		Saved: r.Saved, Refused: r.Refused, Message: r.Message, CreatedAt: stamp(r.CreatedAt), StartedAt: stamp(r.StartedAt), FinishedAt: stamp(r.FinishedAt),
	}
	i.Estimate(time.Now())
	return i, decode(r.Ignored, &i.IgnoredColumns)
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
func (o *Org) BeginImport(ctx context.Context, actor, format string) (id string, err error) {
	id = usersync.NewID(usersync.PrefixImport)
	now := micros(time.Now())
	row := importRow{ID: id, OrganizationID: o.ID(), Status: string(usersync.ImportReceiving), Format: format, Actor: actor, CreatedAt: now, UpdatedAt: now}
	return id, classify(o.GORMWrite(ctx).Create(&row).Error)
}

// ImportChunk is some lines of an upload.
type ImportChunk struct {
	Number int // from 0
	Body   []byte
	// Refused are the lines that could not even be read.
	Refused []usersync.ImportError
}

var receiveStatement = define(`
UPDATE imports SET done = done + $3, refused = refused + $3, updated_at = {now}
WHERE id = $1 AND organization_id = $2 AND status = 'receiving' RETURNING refused`)

var insertChunkStatement = define(`
INSERT INTO import_chunks (import_id, number, body) VALUES ($1, $2, $3) ON CONFLICT (import_id, number) DO NOTHING`)

// AddImportChunk stores the next lines of an upload.
func (o *Org) AddImportChunk(ctx context.Context, id string, c ImportChunk) error {
	return o.Tx(ctx, func(tx *Tx) error {
		var refused int64
		lines := countLines(c.Refused)
		err := tx.row(ctx, receiveStatement, id, o.ID(), lines).Scan(&refused)
		if errors.Is(err, sql.ErrNoRows) {
			return ErrNoImport
		}
		if err != nil {
			return err
		}
		if err := tx.keepImportErrors(ctx, id, refused-lines, c.Refused); err != nil || len(c.Body) == 0 {
			return err
		}
		_, err = tx.exec(ctx, insertChunkStatement, nil, id, c.Number, string(c.Body))
		return err
	})
}

// countLines counts the lines that errors are about; those of one line stand
// together.
func countLines(list []usersync.ImportError) (n int64) {
	for i, e := range list {
		if i == 0 || list[i-1].Line != e.Line {
			n++
		}
	}
	return n
}

var insertImportErrorsStatement = define(`
INSERT INTO import_errors (import_id, line, position, field, message)
SELECT $1, r.line, r.position, r.field, r.message FROM {rows} WHERE true
ON CONFLICT (import_id, line, position) DO NOTHING`,
	col("line", bigint), col("position", integer), col("field", text), col("message", text))

// keepImportErrors stores errors as long as there is room beside the lines
// refused before.
func (tx *Tx) keepImportErrors(ctx context.Context, id string, before int64, list []usersync.ImportError) error {
	set := insertImportErrorsStatement.rows(len(list))
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
		set.add(e.Line, position, e.Field, e.Message)
	}
	if set.len() == 0 {
		return nil
	}
	return tx.later(ctx, insertImportErrorsStatement, set, nil, id)
}

// ImportTotals is what is known of a file once it was read to its end.
type ImportTotals struct {
	Lines    int64
	Encoding string
	Ignored  []string
}

// CompleteImport makes an upload count and writes the task that works it.
func (o *Org) CompleteImport(ctx context.Context, id string, totals ImportTotals, task usersync.Task) (out usersync.Import, err error) {
	ignored, err := json.Marshal(totals.Ignored)
	if err != nil {
		return out, err
	}
	err = o.Tx(ctx, func(tx *Tx) error {
		row := importRow{}
		err := tx.GORM().Clauses(tx.lock()...).First(&row, "id = ? AND organization_id = ? AND status = ?", id, o.ID(), usersync.ImportReceiving).Error
		if notFound(err) {
			return ErrNoImport
		}
		if err != nil {
			return err
		}
		row.Status, row.Lines, row.Encoding, row.Ignored, row.UpdatedAt = string(usersync.ImportQueued), totals.Lines, totals.Encoding, string(ignored), micros(time.Now())
		if err := tx.GORM().Select("status", "lines", "encoding", "ignored", "updated_at").Updates(&row).Error; err != nil {
			return err
		}
		if err := tx.Enqueue(ctx, task); err != nil {
			return err
		}
		if out, err = row.imported(); err != nil {
			return err
		}
		return tx.audit(ctx, o.ID(), row.Actor, "directory.import", id)
	})
	return out, err
}

// shownImport is the condition of the imports that are shown: complete ones.
const shownImport = "organization_id = ? AND status <> 'receiving'"

// Imports returns up to limit imports of the organization, newest first.
func (o *Org) Imports(ctx context.Context, before string, limit int) ([]usersync.Import, error) {
	var list []importRow
	if err := page(o.GORM(ctx).Where(shownImport, o.ID()), before, limit).Find(&list).Error; err != nil {
		return nil, classify(err)
	}
	out := make([]usersync.Import, 0, len(list))
	for _, row := range list {
		i, err := row.imported()
		if err != nil {
			return nil, err
		}
		out = append(out, i)
	}
	return out, nil
}

// Import returns one import.
func (o *Org) Import(ctx context.Context, id string) (usersync.Import, error) {
	var row importRow
	err := o.GORM(ctx).Where(shownImport, o.ID()).First(&row, "id = ?", id).Error
	if notFound(err) {
		return usersync.Import{}, ErrNoImport
	}
	if err != nil {
		return usersync.Import{}, classify(err)
	}
	return row.imported()
}

// ImportErrorPlace says behind which error of an import to read on; the zero
// place is before the first.
type ImportErrorPlace struct {
	Line     int64
	position int64
}

var importErrorsStatement = define(`
SELECT e.line, e.position, e.field, e.message FROM import_errors e
WHERE e.import_id = $1 AND (e.line, e.position) > ($3, $4)
    AND EXISTS (SELECT 1 FROM imports i WHERE i.id = $1 AND i.organization_id = $2)
ORDER BY e.line, e.position LIMIT $5`)

// ImportErrors returns up to limit kept errors of an import, in the order of
// the file, and the place to read on from.
func (o *Org) ImportErrors(ctx context.Context, id string, after ImportErrorPlace, limit int) ([]usersync.ImportError, ImportErrorPlace, error) {
	found, err := collect(ctx, o.reader(), importErrorsStatement, nil, func(scan func(...any) error) (e usersync.ImportError, err error) {
		err = scan(&e.Line, &after.position, &e.Field, &e.Message)
		after.Line = e.Line
		return e, err
	}, id, o.ID(), after.Line, after.position, limit)
	return found, after, err
}

var nextChunkStatement = define(`
SELECT c.number, c.body FROM import_chunks c JOIN imports i ON i.id = c.import_id
WHERE c.import_id = $1 AND i.organization_id = $2 AND i.status IN ('queued', 'running')
ORDER BY c.number LIMIT 1`)

// NextImportChunk returns the first lines of an import that are not dealt
// with; ok is false when there are none.
func (o *Org) NextImportChunk(ctx context.Context, id string) (c ImportChunk, ok bool, err error) {
	var body string
	err = o.reader().row(ctx, nextChunkStatement, id, o.ID()).Scan(&c.Number, &body)
	if errors.Is(err, sql.ErrNoRows) {
		return c, false, nil
	}
	c.Body = []byte(body)
	return c, err == nil, classify(err)
}

// ImportLine is a person and the line of the file that told of them.
type ImportLine struct {
	Line int64
	NewPerson
}

// ImportOutcome is what becomes of a chunk.
type ImportOutcome struct {
	Number  int
	Salt    []byte // the organization's
	Lines   []ImportLine
	Refused []usersync.ImportError // those of one line together
}

var lockOrganizationStatement = define(`SELECT id FROM organizations WHERE id = $1 {for update}`)

var (
	dropChunkStatement = define(`DELETE FROM import_chunks WHERE import_id = $1 AND number = $2`)
	advanceStatement   = define(`
UPDATE imports SET done = done + $3 + $4, saved = saved + $3, refused = refused + $4, status = 'running',
    started_at = CASE WHEN started_at = 0 THEN {now} ELSE started_at END, updated_at = {now}
WHERE id = $1 AND organization_id = $2 AND status IN ('queued', 'running') RETURNING refused`)
)

// erasedMessage refuses the line of a person who was erased.
const erasedMessage = "was erased"

// SettleImportChunk stores the people of a chunk, counts its lines and removes
// it. It stands behind the fence of the run, so a chunk counts once.
func (tx *Tx) SettleImportChunk(ctx context.Context, organization, id string, o ImportOutcome) error {
	n, err := tx.exec(ctx, dropChunkStatement, nil, id, o.Number)
	if err := held(n, err); err != nil {
		return err
	}
	// An erasure takes the same lock: it sees all these people, or they see it.
	if err := tx.lockOrganization(ctx, organization); err != nil {
		return err
	}
	people, refused, err := tx.withoutErased(ctx, organization, o)
	if err != nil {
		return err
	}
	if err := tx.savePeople(ctx, organization, o.Salt, people); err != nil {
		return err
	}
	var total int64
	lines := countLines(refused)
	err = tx.row(ctx, advanceStatement, id, organization, len(people), lines).Scan(&total)
	if errors.Is(err, sql.ErrNoRows) {
		return ErrClaimLost // ended meanwhile
	}
	if err != nil {
		return classify(err)
	}
	return tx.keepImportErrors(ctx, id, total-lines, refused)
}

// lockOrganization keeps imports and erasures of an organization apart.
func (tx *Tx) lockOrganization(ctx context.Context, id string) error {
	var locked string
	return classify(tx.row(ctx, lockOrganizationStatement, id).Scan(&locked))
}

// withoutErased returns the people to store and all lines refused.
func (tx *Tx) withoutErased(ctx context.Context, organization string, o ImportOutcome) ([]NewPerson, []usersync.ImportError, error) {
	keys := make([]string, len(o.Lines))
	for i, l := range o.Lines {
		keys[i] = l.Email.Key()
	}
	erased, err := tx.erasedAmong(ctx, organization, o.Salt, keys)
	if err != nil {
		return nil, nil, err
	}
	people, refused := make([]NewPerson, 0, len(o.Lines)), o.Refused
	for _, l := range o.Lines {
		if erased[l.Email.Key()] {
			refused = append(refused, usersync.ImportError{Line: l.Line, Field: "email", Message: erasedMessage})
			continue
		}
		people = append(people, l.NewPerson)
	}
	return people, refused, nil
}

var finishImportStatement = define(`
UPDATE imports SET finished_at = {now}, updated_at = {now}, started_at = CASE WHEN started_at = 0 THEN {now} ELSE started_at END,
    status = CASE WHEN saved = 0 AND refused > 0 THEN 'failed' ELSE 'succeeded' END,
    message = CASE WHEN saved = 0 AND refused > 0 THEN 'No line could be imported.' ELSE '' END
WHERE id = $1 AND organization_id = $2 AND status IN ('queued', 'running')`)

// FinishImport ends an import whose chunks are all dealt with.
func (tx *Tx) FinishImport(ctx context.Context, organization, id string) error {
	return tx.later(ctx, finishImportStatement, nil, nil, id, organization)
}

var (
	failImportStatement = define(`
UPDATE imports SET finished_at = {now}, updated_at = {now}, status = 'failed', message = $3
WHERE id = $1 AND organization_id = $2 AND status IN ('queued', 'running')`)
	dropChunksStatement = define(`DELETE FROM import_chunks WHERE import_id = $1`)
)

// FailImport ends an import that cannot go on, and removes what is left of it.
func (tx *Tx) FailImport(ctx context.Context, organization, id, message string) error {
	n, err := tx.exec(ctx, failImportStatement, nil, id, organization, message)
	if err != nil || n == 0 {
		return err
	}
	_, err = tx.exec(ctx, dropChunksStatement, nil, id)
	return err
}

var (
	dropReceivingStatement = define(`DELETE FROM imports WHERE id = $1 AND organization_id = $2 AND status = 'receiving'`)
	dropErrorsStatement    = define(`DELETE FROM import_errors WHERE import_id = $1`)
)

// DropImport removes an upload that broke off.
func (o *Org) DropImport(ctx context.Context, id string) error {
	return o.Tx(ctx, func(tx *Tx) error {
		n, err := tx.exec(ctx, dropReceivingStatement, nil, id, o.ID())
		if err != nil || n == 0 {
			return err
		}
		//lint:loop one statement for each table
		for _, st := range []*statement{dropChunksStatement, dropErrorsStatement} {
			if err := tx.later(ctx, st, nil, nil, id); err != nil {
				return err
			}
		}
		return nil
	})
}

var abandonedStatement = define(`
SELECT organization_id || ' ' || id FROM imports WHERE status = 'receiving' AND updated_at < {now} - $1 ORDER BY updated_at LIMIT $2`)

// DropAbandonedImports removes up to limit uploads that ended without a word,
// because the process that received them died.
func (s *Store) DropAbandonedImports(ctx context.Context, limit int) (int, error) {
	found, err := collect(ctx, s.reader(), abandonedStatement, nil, func(scan func(...any) error) (both string, err error) {
		return both, scan(&both)
	}, AbandonedAfter.Microseconds(), limit)
	if err != nil {
		return 0, err
	}
	//lint:loop up to limit broken uploads, each removed in a transaction
	for _, both := range found {
		organization, id, _ := strings.Cut(both, " ")
		if err := s.Org(organization).DropImport(ctx, id); err != nil {
			return 0, err
		}
	}
	return len(found), nil
}
