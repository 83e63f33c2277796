package store

import (
	"database/sql"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"usersync/internal/usersync"
)

// outage logs, once each, that the database does not do what it is asked, and that it
// does again. Every statement and transaction notes what came of it. The nil outage logs
// nothing.
type outage struct {
	log *slog.Logger
	on  atomic.Bool // read without the lock at every statement that succeeds

	mu     sync.Mutex
	began  time.Time
	last   time.Time // when the database failed last
	writes bool      // only statements that write were refused
}

// quiet is how long nothing may fail before an outage counts as over: a single statement
// that is cut short again and again, among many that succeed, is one outage.
const quiet = 5 * time.Second

func newOutage(log *slog.Logger) *outage {
	if log == nil {
		return nil
	}
	return &outage{log: log}
}

// note looks at what came of a statement, and returns err. wrote says that the database
// has taken something, if there is no error.
func (o *outage) note(err error, wrote bool) error {
	switch {
	case o == nil:
	case errors.Is(err, usersync.ErrDatabaseAway):
		o.failed(err)
	case (err == nil || errors.Is(err, sql.ErrNoRows)) && o.on.Load():
		o.succeeded(wrote)
	}
	return err //lint:both it is logged once for all, and those who get it do not log it
}

func (o *outage) failed(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.last = time.Now()
	if o.on.Load() {
		o.writes = o.writes && refusesWrites(err)
		return
	}
	o.began, o.writes = o.last, refusesWrites(err)
	o.on.Store(true)
	o.log.Error("the database does not do what it is asked; what was accepted waits, and calls are answered with 503", "error", err)
}

func (o *outage) succeeded(wrote bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.on.Load() || o.writes && !wrote || time.Since(o.last) < quiet {
		return
	}
	o.on.Store(false)
	o.log.Info("the database works again", "failed_for", o.last.Sub(o.began).Round(time.Millisecond).String())
}
