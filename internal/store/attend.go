package store

import (
	"context"
	"math/rand/v2"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
)

// attendance lets other processes see that this one lives: on PostgreSQL by an advisory
// lock of a session, which the server frees in the instant the process dies. A process
// that stands still keeps it.
type attendance struct {
	connection *pgx.ConnConfig
	number     int32       // of this process, not 0
	held       atomic.Bool // whether the lock is held
}

// attendanceClass is the first key of the locks; the second is the number of a process.
const attendanceClass = 0x75736572 // "user"

const (
	// attendAgain is how long a process waits before it takes a lock again that it has lost.
	// It is far less than what a process may be away without being taken for dead.
	attendAgain = 250 * time.Millisecond
	// attendWithin bounds one try.
	attendWithin = 5 * time.Second
)

func newAttendance(cfg *pgx.ConnConfig) *attendance {
	own := cfg.Copy()
	// A machine that lost its power says nothing: the server asks it, and gives up after
	// 5 s + 3 × 2 s.
	for name, value := range map[string]string{"tcp_keepalives_idle": "5", "tcp_keepalives_interval": "2", "tcp_keepalives_count": "3"} {
		own.RuntimeParams[name] = value
	}
	return &attendance{connection: own, number: 1 + rand.Int32N(1<<31-2)}
}

// Attend lets other processes see that this one lives, until ctx ends. On SQLite, where
// there are no others, it returns at once.
func (s *Store) Attend(ctx context.Context) {
	if s.attendance == nil {
		return
	}
	for ctx.Err() == nil {
		s.attendance.hold(ctx)
		select {
		case <-ctx.Done():
		case <-time.After(attendAgain):
		}
	}
}

// Attending returns the number under which this process attends, and "" while it does not.
// AttendingNumbers tells those of all.
func (c Conn) Attending() string {
	if c.attendance == nil || !c.attendance.held.Load() {
		return ""
	}
	return strconv.Itoa(int(c.attendance.number))
}

// AttendingNumbers is a query on PostgreSQL for the numbers of the processes that attend,
// as text.
var AttendingNumbers = `SELECT CAST(objid AS text) FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 2
    AND classid = ` + strconv.Itoa(attendanceClass) + ` AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`

// hold takes the lock and keeps it until ctx ends or the connection does. An error is not
// told: a database that is away is told by those who need it, and a claim whose process
// does not attend runs out by itself.
func (a *attendance) hold(ctx context.Context) {
	soon, cancel := context.WithTimeout(ctx, attendWithin)
	defer cancel()
	c, err := pgx.ConnectConfig(soon, a.connection)
	if err != nil {
		return
	}
	defer func() { _ = c.Close(context.WithoutCancel(soon)) }()
	// The newer setting ends sessions that do nothing, which this one is for.
	_, err = c.Exec(soon, `SELECT set_config(name, '0', false) FROM pg_settings WHERE name = 'idle_session_timeout'`)
	if err != nil {
		return
	}
	if _, err := c.Exec(soon, "SELECT pg_advisory_lock($1, $2)", int32(attendanceClass), a.number); err != nil {
		return
	}
	a.held.Store(true)
	defer a.held.Store(false)
	_, _ = c.WaitForNotification(ctx) // none comes: it returns when ctx or the connection ends
}
