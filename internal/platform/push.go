package platform

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"usersync/internal/store"
	"usersync/internal/usersync"
)

// PushStatus says how far one user is at one connection.
type PushStatus string

// The statuses of a row of pushes. Rest is written only: idle, though the
// platform has not got what was wanted.
const (
	PushIdle       PushStatus = "idle"
	PushPending    PushStatus = "pending"
	PushCalling    PushStatus = "calling"
	PushConfirming PushStatus = "confirming"
	PushRest       PushStatus = "rest"
)

// pushSpacing is the least time between two pushes of one user to one
// connection that nobody waits for: a user who changes a hundred times in two
// seconds is pushed twice.
const pushSpacing = 2 * time.Second

// PushRow is a user at a connection with something due.
type PushRow struct {
	UserID        string
	Status        PushStatus
	Rank          int
	WantedVersion int64
	WantedAt      time.Time
	PushedVersion int64
	PushedHash    string
	Attempts      int
	Remote        string
	// PushedAt is when the platform was last told something of the user.
	PushedAt    time.Time
	Job         string
	SentVersion int64
	SentHash    string
	// Former is the address that the platform has, where the user has another one now.
	Former string
	// Away says that the user was taken off the connection's list, see SetAway.
	Away bool
	// Absent says that the user is to be taken off the platform.
	Absent bool
	// Removal is the address that is to be removed, of a person who was erased for
	// the erasure ErasureID.
	Removal   usersync.Email
	ErasureID string
	// ReadAt is the database's time when the row was read.
	ReadAt time.Time
}

// Each rank is read by itself, so that what waits for a second try costs nothing.
var duePushesStatement = store.Define("platform.duePushes", eachRank(`
SELECT p.user_id, p.status, p.rank, p.wanted_version, p.wanted_at, p.pushed_version, p.pushed_hash, p.attempts, p.remote, p.job,
    p.sent_version, p.sent_hash, p.former, p.away, p.absent, p.pushed_at, p.removal, p.erasure_id, {now}
FROM pushes p WHERE p.connection_id = $1 AND p.rank = {rank} AND p.due_at > 0 AND p.due_at <= {now} ORDER BY p.due_at, p.user_id LIMIT $2`))

// eachRank joins the answers to a query for every rank, in their order.
func eachRank(query string) string {
	var parts []string
	for _, rank := range ranks {
		parts = append(parts, "SELECT * FROM ("+strings.ReplaceAll(query, "{rank}", strconv.Itoa(rank))+") AS rank"+strconv.Itoa(rank))
	}
	return strings.Join(parts, "\nUNION ALL\n")
}

var ranks = []int{RankOnDemand, RankOrdinary, RankBulk}

// placeRows names users at one connection. The connection stands in each row, not
// beside them, as the organization does in requestRows: as a condition of its own
// both engines take it alone into the index, and read all that the connection has.
func placeRows(st *store.Statement, connection string, users []string) *store.Rows {
	set := st.Rows(len(users))
	for _, u := range users {
		set.Add(connection, u)
	}
	return set
}

// DuePushes returns up to limit users with something due at a connection, by
// rank and age.
func DuePushes(ctx context.Context, o *store.Org, connection string, limit int) ([]PushRow, error) {
	list, err := store.Collect(ctx, o.Reader(), duePushesStatement, nil, func(scan func(...any) error) (p PushRow, err error) {
		var removal string
		var wanted, away, absent, pushed, now int64
		err = scan(&p.UserID, &p.Status, &p.Rank, &p.WantedVersion, &wanted, &p.PushedVersion, &p.PushedHash, &p.Attempts, &p.Remote, &p.Job,
			&p.SentVersion, &p.SentHash, &p.Former, &away, &absent, &pushed, &removal, &p.ErasureID, &now)
		p.WantedAt, p.ReadAt, p.PushedAt = store.At(wanted), store.At(now), store.At(pushed)
		p.Away, p.Absent = away == 1, absent == 1
		if err != nil || removal == "" {
			return p, err
		}
		plain, err := o.Sealer().Open(removal, RemovalPlace(o.ID(), connection, p.UserID))
		address, former, _ := strings.Cut(string(plain), "\n")
		p.Removal, p.Former = usersync.NewEmail(address, address), former
		return p, err
	}, connection, limit)
	slices.SortStableFunc(list, func(a, b PushRow) int { return a.Rank - b.Rank })
	return list[:min(limit, len(list))], err
}

var beginCallsStatement = store.Define("platform.beginCalls", `
UPDATE pushes SET status = 'calling', pushed_hash = '', due_at = {now} + $1 FROM {rows}
WHERE pushes.connection_id = r.connection_id AND pushes.user_id = r.user_id AND pushes.removal = ''
RETURNING pushes.user_id`, store.Col("connection_id", store.Text), store.Col("user_id", store.Text))

// BeginCalls notes, before it is made, that a call about these users is under
// way which takes at most within: if nobody says how it ended, it is made again
// after that. It returns those of them who were not erased meanwhile: only of them
// a platform may be told.
func BeginCalls(ctx context.Context, tx *store.Tx, connection string, users []string, within time.Duration) ([]string, error) {
	slices.Sort(users)
	return store.Collect(ctx, tx.Conn, beginCallsStatement, placeRows(beginCallsStatement, connection, users), store.ScanString, within.Microseconds())
}

var takeOverStatement = store.Define("platform.takeOver", `
UPDATE pushes SET due_at = {now} + $2, deaths = CASE WHEN CAST($3 AS integer) = 1 THEN deaths + 1 ELSE 0 END
WHERE connection_id = $1 AND status = 'calling' AND due_at > {now} + $2 RETURNING deaths`)

// Orphans are calls that nobody wrote the end of.
type Orphans struct {
	// Calls is how many users they are about.
	Calls int
	// Deaths is how many workers in a row died in calls about one and the same of them.
	Deaths int
}

// TakeOver has calls that nobody wrote the end of made again after the given wait.
// The caller has just claimed the pusher's task, so who made them has lost it. died says
// that it died.
func TakeOver(ctx context.Context, s *store.Store, connection string, wait time.Duration, died bool) (o Orphans, err error) { //lint:flag died is what is noted
	mark := int64(0)
	if died {
		mark = 1
	}
	list, err := store.Collect(ctx, s.AsyncCommit(), takeOverStatement, nil, func(scan func(...any) error) (n int, err error) {
		return n, scan(&n)
	}, connection, wait.Microseconds(), mark)
	for _, n := range list {
		o.Deaths = max(o.Deaths, n)
	}
	o.Calls = len(list)
	return o, err
}

// PushOutcome is what became of one user at a connection.
type PushOutcome struct {
	UserID string
	// Status is PushIdle when the platform has, or has refused, Version.
	Status  PushStatus
	Version int64
	Hash    string // of what was pushed; "" when the platform may not have it
	DueAt   time.Time
	// Attempts failed so far.
	Attempts int
	Remote   string // "" keeps what is there
	Job      string
	// Called says that the platform was told something.
	Called bool
	// Former is the former address that the platform was told of.
	Former string
	// Err is why it did not go well; nil where it did.
	Err *usersync.Error
}

var pushOutcomeStatement = store.Define("platform.pushOutcome", `
UPDATE pushes SET
    status = CASE WHEN removal <> '' OR absent = 1 AND r.status <> 'confirming' THEN 'pending'
        WHEN r.status = 'rest' THEN 'idle' WHEN r.status <> 'idle' THEN r.status
        WHEN dirty = 1 OR wanted_version > r.version THEN 'pending' ELSE 'idle' END,
    due_at = CASE WHEN removal <> '' OR absent = 1 AND r.status <> 'confirming' THEN {now}
        WHEN r.status <> 'idle' THEN r.due
        WHEN dirty = 1 THEN {now} WHEN wanted_version > r.version THEN {now} + $1 ELSE 0 END,
    wanted_at = CASE WHEN r.status = 'idle' THEN {now} ELSE wanted_at END,
    rank = CASE WHEN r.status = 'idle' AND rank = 0 THEN 1 ELSE rank END,
    pushed_version = CASE WHEN r.status = 'idle' AND r.version > pushed_version THEN r.version ELSE pushed_version END,
    pushed_hash = CASE WHEN r.status = 'idle' AND dirty = 0 THEN r.hash ELSE '' END,
    pushed_at = CASE WHEN r.called = 1 THEN {now} ELSE pushed_at END,
    sent_version = CASE WHEN r.status = 'confirming' THEN r.version ELSE 0 END,
    sent_hash = CASE WHEN r.status = 'confirming' THEN r.hash ELSE '' END,
    remote = CASE WHEN r.remote = '' THEN pushes.remote ELSE r.remote END,
    former = CASE WHEN pushes.former = r.former THEN '' ELSE pushes.former END,
    attempts = r.attempts, job = r.job, deaths = 0, error_code = r.error_code, error_message = r.error_message,
    dirty = CASE WHEN r.status = 'idle' THEN 0 ELSE dirty END
FROM {rows} WHERE pushes.connection_id = r.connection_id AND pushes.user_id = r.user_id`,
	store.Col("connection_id", store.Text), store.Col("user_id", store.Text), store.Col("status", store.Text), store.Col("version", store.Bigint), store.Col("hash", store.Text), store.Col("due", store.Bigint), store.Col("attempts", store.Bigint),
	store.Col("remote", store.Text), store.Col("job", store.Text), store.Col("called", store.Bigint), store.Col("former", store.Text),
	store.Col("error_code", store.Text), store.Col("error_message", store.Text))

// SavePushes writes what became of users at a connection, under the claim of its
// pusher. Who was wanted in a newer state meanwhile is due again.
func SavePushes(ctx context.Context, tx *store.Tx, connection string, outcomes []PushOutcome) error {
	if len(outcomes) == 0 {
		return nil
	}
	slices.SortFunc(outcomes, func(a, b PushOutcome) int { return cmp.Compare(a.UserID, b.UserID) })
	set := pushOutcomeStatement.Rows(len(outcomes))
	for _, o := range outcomes {
		called := int64(0)
		if o.Called {
			called = 1
		}
		code, message := "", ""
		if o.Err != nil {
			code, message = string(o.Err.Code), o.Err.Message
		}
		set.Add(connection, o.UserID, string(o.Status), o.Version, o.Hash, store.Micros(o.DueAt), int64(o.Attempts), o.Remote, o.Job, called, o.Former, code, message)
	}
	return tx.Later(ctx, pushOutcomeStatement, set, nil, pushSpacing.Microseconds())
}

var markOverriddenStatement = store.Define("platform.markOverridden", `
INSERT INTO pushes (connection_id, user_id, organization_id, pushed_at, remote)
SELECT $1, r.user_id, $2, {now}, r.remote FROM {rows} WHERE true
ON CONFLICT (connection_id, user_id, organization_id) DO UPDATE SET pushed_hash = '', pushed_at = excluded.pushed_at,
    remote = CASE WHEN excluded.remote = '' THEN pushes.remote ELSE excluded.remote END
WHERE pushes.removal = ''`, store.Col("user_id", store.Text), store.Col("remote", store.Text))

// MarkOverridden notes that the platform has something else of these users than
// their state: the next push of it is made whatever was pushed before.
func MarkOverridden(ctx context.Context, tx *store.Tx, organization, connection string, remotes map[string]string) error {
	if len(remotes) == 0 {
		return nil
	}
	set := markOverriddenStatement.Rows(len(remotes))
	for _, user := range slices.Sorted(maps.Keys(remotes)) {
		set.Add(user, remotes[user])
	}
	return tx.Later(ctx, markOverriddenStatement, set, nil, connection, organization)
}

var keepRemotesStatement = store.Define("platform.keepRemotes", `
UPDATE pushes SET remote = r.remote FROM {rows} WHERE pushes.connection_id = r.connection_id AND pushes.user_id = r.user_id`,
	store.Col("connection_id", store.Text), store.Col("user_id", store.Text), store.Col("remote", store.Text))

// KeepRemotes keeps what a platform calls users, by user, and nothing else of them.
func KeepRemotes(ctx context.Context, tx *store.Tx, connection string, remotes map[string]string) error {
	if len(remotes) == 0 {
		return nil
	}
	set := keepRemotesStatement.Rows(len(remotes))
	for _, user := range slices.Sorted(maps.Keys(remotes)) {
		set.Add(connection, user, remotes[user])
	}
	return tx.Later(ctx, keepRemotesStatement, set, nil)
}

var dirtyStatement = store.Define("platform.dirty", `
UPDATE pushes SET dirty = 1, pushed_hash = '', status = CASE WHEN status = 'idle' THEN 'pending' ELSE status END,
    due_at = CASE WHEN due_at = 0 THEN {now} ELSE due_at END
FROM {rows} WHERE pushes.connection_id = r.connection_id AND pushes.user_id = r.user_id`, store.Col("connection_id", store.Text), store.Col("user_id", store.Text))

// goneAgainStatement is for users of whom there is no row any more and who are users still:
// they were taken off.
var goneAgainStatement = store.Define("platform.goneAgain", `
INSERT INTO pushes (connection_id, user_id, organization_id, status, due_at, wanted_at, absent)
SELECT r.connection_id, u.id, u.organization_id, 'pending', {now}, {now}, 1 FROM {rows} JOIN users u ON u.id = r.user_id WHERE true
ON CONFLICT (connection_id, user_id, organization_id) DO NOTHING`, store.Col("connection_id", store.Text), store.Col("user_id", store.Text))

// TellOnceMore has users pushed once more, or taken off once more who were, because
// somebody who may not have may have written to the platform after us.
func TellOnceMore(ctx context.Context, tx *store.Tx, connection string, users []string) error {
	if err := PushOnceMore(ctx, tx, connection, users); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, goneAgainStatement, placeRows(goneAgainStatement, connection, users))
	return err
}

// PushOnceMore has users pushed once more of whom there is a row.
func PushOnceMore(ctx context.Context, tx *store.Tx, connection string, users []string) error {
	slices.Sort(users)
	if err := wakePushes(ctx, tx, connection); err != nil {
		return fmt.Errorf("wake the connection's task: %w", err)
	}
	_, err := tx.Exec(ctx, dirtyStatement, placeRows(dirtyStatement, connection, users))
	return err
}

var (
	dropPushesStatement = store.Define("platform.dropPushes", `
DELETE FROM pushes WHERE {row} {any}SELECT p.{row} FROM {rows} JOIN pushes p ON p.connection_id = r.connection_id AND p.user_id = r.user_id{/any}`,
		store.Col("connection_id", store.Text), store.Col("user_id", store.Text))
	dropGoneStatement = store.Define("platform.dropGone", `
DELETE FROM pushes WHERE {row} {any}SELECT p.{row} FROM {rows} JOIN pushes p ON p.connection_id = r.connection_id AND p.user_id = r.user_id
    WHERE p.removal = ''{/any}`, store.Col("connection_id", store.Text), store.Col("user_id", store.Text))
)

// DropPushes forgets users at a connection.
func DropPushes(ctx context.Context, tx *store.Tx, connection string, users []string) error {
	if len(users) == 0 {
		return nil
	}
	_, err := tx.Exec(ctx, dropPushesStatement, placeRows(dropPushesStatement, connection, users))
	return err
}

// DropGone forgets users who are no more at a connection, but for those who are
// still to be removed there.
func DropGone(ctx context.Context, tx *store.Tx, connection string, users []string) error {
	if len(users) == 0 {
		return nil
	}
	_, err := tx.Exec(ctx, dropGoneStatement, placeRows(dropGoneStatement, connection, users))
	return err
}

// The next due time of each rank is the first of its part of an index.
var nextDueStatement = store.Define("platform.nextDue", `
SELECT coalesce(min(n.due), 0) FROM (`+eachRank(`SELECT min(x.due_at) AS due FROM pushes x WHERE x.connection_id = $1 AND x.rank = {rank} AND x.due_at > 0`)+`
UNION ALL `+eachRank(`SELECT min(x.due_at) AS due FROM push_waits x WHERE x.connection_id = $1 AND x.rank = {rank} AND x.due_at > 0`)+`
UNION ALL SELECT {now} FROM connections c WHERE c.id = $1 AND c.updated_at <> $2) AS n
WHERE n.due > 0`)

// NextPush returns when something is due at a connection; zero for never. That is now
// where the connection was changed since c was read: one that was deleted or paused ends
// what waits there.
func NextPush(ctx context.Context, tx *store.Tx, c Connection) (time.Time, error) {
	scan := func(scan func(...any) error) (us int64, err error) { return us, scan(&us) }
	list, err := store.Collect(ctx, tx.Conn, nextDueStatement, nil, scan, c.ID, store.Micros(c.UpdatedAt.Time))
	if err != nil || len(list) == 0 {
		return time.Time{}, err
	}
	return store.At(list[0]), nil
}

var remotesStatement = store.Define("platform.remotes", `
SELECT p.user_id, p.remote, p.pushed_hash, p.former, p.away, p.pushed_at FROM {rows} JOIN pushes p ON p.connection_id = r.connection_id AND p.user_id = r.user_id WHERE p.organization_id = $1`,
	store.Col("connection_id", store.Text), store.Col("user_id", store.Text))

// Remotes returns what is kept about users at a connection, by user.
func Remotes(ctx context.Context, o *store.Org, connection string, users []string) (map[string]PushRow, error) {
	out := map[string]PushRow{}
	_, err := store.Collect(ctx, o.Reader(), remotesStatement, placeRows(remotesStatement, connection, users), func(scan func(...any) error) (struct{}, error) {
		var p PushRow
		var away, pushed int64
		err := scan(&p.UserID, &p.Remote, &p.PushedHash, &p.Former, &away, &pushed)
		p.Away, p.PushedAt = away == 1, store.At(pushed)
		out[p.UserID] = p
		return struct{}{}, err
	}, o.ID())
	return out, err
}
