package directory

import (
	"time"

	"usersync/internal/usersync"
)

// ImportStatus says how far an import of people is.
type ImportStatus string

// The statuses of an import. One that is being uploaded is receiving, which
// nobody is shown: it counts when it is complete.
const (
	ImportReceiving ImportStatus = "receiving"
	ImportQueued    ImportStatus = "queued"
	ImportRunning   ImportStatus = "running"
	ImportSucceeded ImportStatus = "succeeded"
	ImportFailed    ImportStatus = "failed"
)

// ImportStatuses are those that the API shows.
var ImportStatuses = []ImportStatus{ImportQueued, ImportRunning, ImportSucceeded, ImportFailed}

// Final reports whether nothing more will happen.
func (s ImportStatus) Final() bool { return s == ImportSucceeded || s == ImportFailed }

// Import is one file of people on its way into the directory.
type Import struct {
	ID       string       `json:"id"`
	Status   ImportStatus `json:"status"`
	Format   string       `json:"format"`   // csv or ndjson
	Encoding string       `json:"encoding"` // as detected or declared
	// IgnoredColumns are the columns that hold nothing of a person.
	IgnoredColumns []string `json:"ignoredColumns,omitempty"`
	// Lines counts the lines that say something, wrong ones included; Done
	// those dealt with: Saved and Refused.
	Lines   int64 `json:"lines"`
	Done    int64 `json:"done"`
	Saved   int64 `json:"saved"`
	Refused int64 `json:"refused"`
	// RatePerSecond is how many lines were dealt with a second, ETASeconds how
	// long the rest will take at that rate; 0 when unknown.
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
