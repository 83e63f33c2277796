package directory

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"usersync/internal/audit"
	"usersync/internal/outbox"
	"usersync/internal/store"
	"usersync/internal/tenant"
	"usersync/internal/usersync"
)

// ImportStatus says how far an import has come.
type ImportStatus string

// The statuses of an import. While its file is uploaded an import is receiving and is
// shown to nobody.
const (
	ImportReceiving ImportStatus = "receiving"
	ImportQueued    ImportStatus = "queued"
	ImportRunning   ImportStatus = "running"
	ImportSucceeded ImportStatus = "succeeded"
	ImportFailed    ImportStatus = "failed"
)

// ImportStatuses are those that the API shows.
var ImportStatuses = []ImportStatus{ImportQueued, ImportRunning, ImportSucceeded, ImportFailed}

// Final reports whether the import has ended.
func (s ImportStatus) Final() bool { return s == ImportSucceeded || s == ImportFailed }

// Import is one uploaded file of people, and how far it has come into the directory.
type Import struct {
	ID       string       `json:"id"`
	Status   ImportStatus `json:"status"`
	Format   string       `json:"format"`   // csv or ndjson
	Encoding string       `json:"encoding"` // as detected or declared
	// IgnoredColumns are the names of the columns that are not used.
	IgnoredColumns []string `json:"ignoredColumns,omitempty"`
	// Lines counts the lines that are not empty, wrong ones included. Done counts
	// those that were worked: Saved and Refused.
	Lines   int64 `json:"lines"`
	Done    int64 `json:"done"`
	Saved   int64 `json:"saved"`
	Refused int64 `json:"refused"`
	// RatePerSecond is how many lines were worked a second, ETASeconds how long the
	// rest will take at that rate; 0 when unknown.
	RatePerSecond int64 `json:"ratePerSecond,omitempty"`
	ETASeconds    int64 `json:"etaSeconds,omitempty"`
	// Message says why an import failed.
	Message    string        `json:"message,omitempty"`
	CreatedAt  usersync.Time `json:"createdAt"`
	StartedAt  usersync.Time `json:"startedAt,omitzero"`
	FinishedAt usersync.Time `json:"finishedAt,omitzero"`
}

// Estimate sets rate and time left from what was done until now.
func (i *Import) Estimate(now time.Time) {
	if i.StartedAt.IsZero() {
		return
	}
	if i.Status.Final() {
		now = i.FinishedAt.Time
	}
	took := now.Sub(i.StartedAt.Time).Seconds()
	if took <= 0 || i.Done == 0 {
		return
	}
	rate := float64(i.Done) / took
	i.RatePerSecond = max(int64(rate), 1)
	if left := float64(i.Lines-i.Done) / rate; left > 0 && !i.Status.Final() {
		i.ETASeconds = max(int64(left), 1)
	}
}

// ImportError says what is wrong with one line of an import, in words that
// follow the field's name and never quote the line.
type ImportError struct {
	Line    int64  `json:"line"`
	Field   string `json:"field"` // "" for the line as a whole
	Message string `json:"message"`
}

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
	i.Estimate(time.Now()) //lint:clock it is shown
	if err := store.Decode(r.Ignored, &i.IgnoredColumns); err != nil {
		return i, fmt.Errorf("decode the ignored columns of import %q: %w", r.ID, err)
	}
	return i, nil
}

// ErrNoImport is the refusal of an id that names no import of the organization.
var ErrNoImport = usersync.Errorf(usersync.CodeNotFound, "Import not found")

// KeptImportErrors bounds the lines of an import whose errors are kept; the
// rest are counted.
const KeptImportErrors = 10_000

// AbandonedAfter is how long an upload may go without a new chunk before it counts as
// broken off. It is longer than any upload may take.
const AbandonedAfter = time.Hour

var importCount = tenant.Count{
	Of:    store.Define("directory.countImports", `SELECT count(*) FROM imports WHERE organization_id = $1 AND finished_at = 0`),
	Limit: func(l tenant.Limits) int { return l.Imports }, Setting: "imports", Noun: "unfinished imports",
}

// BeginImport notes that a file is being uploaded. The import is neither shown nor
// worked before CompleteImport. It returns a conflict where the organization has as many
// unfinished ones as it may have.
func BeginImport(ctx context.Context, o *store.Org, actor, format string) (id string, err error) {
	id = usersync.NewID(usersync.PrefixImport)
	row := importRow{ID: id, OrganizationID: o.ID(), Status: string(ImportReceiving), Format: format, Actor: actor}
	return id, o.Tx(ctx, func(tx *store.Tx) error {
		now, err := tx.Now(ctx)
		if err != nil {
			return fmt.Errorf("ask for the time: %w", err)
		}
		row.CreatedAt, row.UpdatedAt = store.Micros(now), store.Micros(now)
		if err := tenant.MakeRoom(ctx, tx, o.ID(), importCount); err != nil {
			return err
		}
		return store.Classify(tx.GORM().Create(&row).Error)
	})
}

// Totals is what is known of a file after it was read to its end.
type Totals struct {
	Lines    int64
	Encoding string
	Ignored  []string
}

// CompleteImport queues an import whose upload is complete, with the task that saves
// its people.
func CompleteImport(ctx context.Context, o *store.Org, id string, totals Totals, task usersync.Task) (out Import, err error) {
	ignored, err := json.Marshal(totals.Ignored)
	if err != nil {
		return out, fmt.Errorf("encode the ignored columns: %w", err)
	}
	err = o.Tx(ctx, func(tx *store.Tx) error {
		row := importRow{}
		err := tx.GORM().Clauses(tx.ForUpdate()...).First(&row, "id = ? AND organization_id = ? AND status = ?", id, o.ID(), ImportReceiving).Error
		if store.NotFound(err) {
			return ErrNoImport
		}
		if err != nil {
			return fmt.Errorf("read the import: %w", err)
		}
		row.Status, row.Lines, row.Encoding, row.Ignored, row.UpdatedAt = string(ImportQueued), totals.Lines, totals.Encoding, string(ignored), store.Micros(time.Now()) //lint:clock a stamp: only that of a receiving import is compared
		if err := tx.GORM().Select("status", "lines", "encoding", "ignored", "updated_at").Updates(&row).Error; err != nil {
			return fmt.Errorf("queue the import: %w", err)
		}
		if err := outbox.Enqueue(ctx, tx, task); err != nil {
			return fmt.Errorf("enqueue the import's task: %w", err)
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
	return store.Page(o.GORM(ctx).Where(shownImport, o.ID()), before, limit, importRow.imported)
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

// ErrorPlace is the place of an error in the list of an import's errors, to read on
// from. The zero place is before the first error.
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
	if err != nil {
		return found, after, fmt.Errorf("read the errors of an import: %w", err)
	}
	return found, after, nil
}

var finishImportStatement = store.Define("directory.finishImport", `
UPDATE imports SET finished_at = {now}, updated_at = {now}, started_at = CASE WHEN started_at = 0 THEN {now} ELSE started_at END,
    status = CASE WHEN saved = 0 AND refused > 0 THEN 'failed' ELSE 'succeeded' END,
    message = CASE WHEN saved = 0 AND refused > 0 THEN 'No line could be imported.' ELSE '' END
WHERE id = $1 AND organization_id = $2 AND status IN ('queued', 'running')`)

// FinishImport ends an import that has no chunk left.
func FinishImport(ctx context.Context, tx *store.Tx, organization, id string) error {
	return tx.Later(ctx, finishImportStatement, nil, nil, id, organization)
}

var (
	failImportStatement = store.Define("directory.failImport", `
UPDATE imports SET finished_at = {now}, updated_at = {now}, status = 'failed', message = $3
WHERE id = $1 AND organization_id = $2 AND status IN ('queued', 'running')`)
	dropChunksStatement = store.Define("directory.dropChunks", `DELETE FROM import_chunks WHERE import_id = $1`)
)

// FailImport ends an import that cannot go on, and removes its remaining chunks.
func FailImport(ctx context.Context, tx *store.Tx, organization, id, message string) error {
	n, err := tx.Exec(ctx, failImportStatement, nil, id, organization, message)
	if err != nil {
		return fmt.Errorf("fail the import: %w", err)
	}
	if n == 0 {
		return nil
	}
	if _, err := tx.Exec(ctx, dropChunksStatement, nil, id); err != nil {
		return fmt.Errorf("drop the chunks of an import: %w", err)
	}
	return nil
}

var (
	lockReceivingStatement = store.Define("directory.lockReceiving", `
SELECT 1 FROM imports WHERE id = $1 AND organization_id = $2 AND status = 'receiving' {skip locked}`)
	dropReceivedStatement = store.Define("directory.dropReceived", `
DELETE FROM import_chunks WHERE {row} {any}SELECT {row} FROM import_chunks WHERE import_id = $1 {skip locked}{/any}`)
	dropErrorsStatement = store.Define("directory.dropErrors", `
DELETE FROM import_errors WHERE {row} {any}SELECT {row} FROM import_errors WHERE import_id = $1 {skip locked}{/any}`)
	dropReceivingStatement = store.Define("directory.dropReceiving", `
DELETE FROM imports WHERE id = $1 AND NOT EXISTS (SELECT 1 FROM import_chunks c WHERE c.import_id = $1)
    AND NOT EXISTS (SELECT 1 FROM import_errors e WHERE e.import_id = $1)`)
)

// DropImport removes an upload that broke off. One that somebody has locked, or that has
// a locked row, stays; DropAbandonedImports comes back to it.
func DropImport(ctx context.Context, o *store.Org, id string) error {
	_, err := dropImport(ctx, o, id)
	return err
}

// dropImport is DropImport, and returns how many uploads it removed: one or none.
func dropImport(ctx context.Context, o *store.Org, id string) (dropped int64, err error) {
	err = o.Tx(ctx, func(tx *store.Tx) error {
		var one int
		err := tx.QueryRow(ctx, lockReceivingStatement, id, o.ID()).Scan(&one)
		if store.NotFound(err) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("lock an upload: %w", err)
		}
		//lint:loop one statement for each table
		for _, st := range []*store.Statement{dropReceivedStatement, dropErrorsStatement} {
			if err := tx.Later(ctx, st, nil, nil, id); err != nil {
				return fmt.Errorf("drop the rows of an upload: %w", err)
			}
		}
		if dropped, err = tx.Exec(ctx, dropReceivingStatement, nil, id); err != nil {
			return fmt.Errorf("drop an upload: %w", err)
		}
		return nil
	})
	return dropped, err
}

var abandonedStatement = store.Define("directory.abandoned", `
SELECT organization_id || ' ' || id FROM imports WHERE status = 'receiving' AND updated_at < {now} - $1 ORDER BY updated_at LIMIT $2`)

// DropAbandonedImports removes up to limit uploads whose process died while it received
// them. It returns how many it removed.
func DropAbandonedImports(ctx context.Context, s *store.Store, limit int) (int, error) {
	found, err := store.Collect(ctx, s.Reader(), abandonedStatement, nil, func(scan func(...any) error) (both string, err error) {
		return both, scan(&both)
	}, AbandonedAfter.Microseconds(), limit)
	if err != nil {
		return 0, fmt.Errorf("find abandoned uploads: %w", err)
	}
	var dropped int64
	var failed []error
	//lint:loop up to limit broken uploads, each removed in a transaction
	for _, both := range found {
		organization, id, _ := strings.Cut(both, " ")
		n, err := dropImport(ctx, s.Org(organization), id)
		if err != nil {
			failed = append(failed, fmt.Errorf("drop the abandoned upload %s: %w", id, err))
		}
		dropped += n
	}
	return int(dropped), errors.Join(failed...)
}
