package request

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"usersync/internal/store"
	"usersync/internal/user"
	"usersync/internal/usersync"
)

// UnfinishedStatusesSQL are the statuses in which a request still has work to come.
const UnfinishedStatusesSQL = `('queued', 'processing', 'awaiting_credits')`

// Filter narrows a list of requests.
type Filter struct {
	Status Status
	Email  usersync.Email
	Kind   Kind
	Since  time.Time
	Until  time.Time // only those made before
	// Platform, Connection and Code have requests listed with a step at a connection, or
	// with one that did not go well for this reason. With a status that says that something
	// failed it is the connection's step that did not go well.
	Platform, Connection string
	Code                 usersync.Code
	// Colleagues has the colleagues found listed too, who are most of a request's text.
	Colleagues bool
	Before     string // an id: only older ones
	Limit      int
}

// Each list of requests reads its own range of one index, newest first, however
// many requests there are besides. Its condition is on all columns of the index,
// which stands for one that no other index fits: where that is not so by itself,
// a joined key.
const (
	ofOrganization = `q.organization_id = $1` + between
	ofKind         = `q.organization_id || '/' || q.kind = $1 || '/' || $7 AND q.kind <> 'user-sync'` + between
	ofUser         = `q.user_id = $8` + between + mine
	notable        = `q.organization_id || '/' || q.kind || '/' || q.notable = $1 || '/' || $7 || '/' || $6 AND q.notable <> ''` + between
	notableOfUser  = `q.user_id || '/' || q.notable = $8 || '/' || $6 AND q.notable <> ''` + between + mine

	between = ` AND q.id < $2 AND q.id >= $3`
	// mine says that a user's rows are the organization's, of which the planner must
	// not conclude that they are few: it would read and sort all of the user's.
	mine = ` AND CASE WHEN q.organization_id = $1 THEN true ELSE false END`

	ofThisKind   = ` AND ($7 = '' OR q.kind = $7)`
	ofThisStatus = ` AND ($6 = '' OR q.status = $6)`
)

func newest(which string) string {
	return `SELECT q.id FROM requests q WHERE ` + which + ` AND q.created_at >= $4 ORDER BY q.id DESC LIMIT $5`
}

// The lists of what is stored. Succeeded requests are nearly all, and are
// found in the list of all.
var (
	allRequestsStatement         = store.Define("request.list", newest(ofOrganization+ofThisKind+ofThisStatus))
	kindRequestsStatement        = store.Define("request.kindRequests", newest(ofKind+ofThisStatus))
	userRequestsStatement        = store.Define("request.userRequests", newest(ofUser+ofThisKind+ofThisStatus))
	notableRequestsStatement     = store.Define("request.notableRequests", eachKind(newest(notable)))
	notableKindRequestsStatement = store.Define("request.notableKindRequests", newest(notable))
	notableUserRequestsStatement = store.Define("request.notableUserRequests", newest(notableOfUser+ofThisKind))
)

// eachKind merges the newest of each kind.
func eachKind(query string) string {
	var parts []string
	for i, k := range Kinds {
		parts = append(parts, fmt.Sprintf("SELECT * FROM (%s) AS kind%d", strings.ReplaceAll(query, "$7", "'"+string(k)+"'"), i))
	}
	return strings.Join(parts, "\nUNION ALL ") + "\nORDER BY id DESC LIMIT $5"
}

// ListIDs returns the ids of the matching requests, newest first.
func ListIDs(ctx context.Context, o *store.Org, f Filter) ([]string, error) {
	l, some, err := newList(ctx, o, f)
	if err != nil || !some {
		return nil, err
	}
	if f.byStep() {
		return l.ofSteps(ctx)
	}
	switch f.Status {
	case Queued:
		return l.queued(ctx)
	case Processing:
		return l.processing(ctx)
	default:
		return l.stored(ctx)
	}
}

// newList prepares the list of what a filter lets through; some is false when that
// can be nothing.
func newList(ctx context.Context, o *store.Org, f Filter) (l requestList, some bool, err error) {
	if f.Kind != "" && !f.Kind.Valid() {
		return l, false, nil
	}
	l = requestList{Org: o, Filter: f}
	l.Before = min(cmp.Or(l.Before, store.AfterAll(usersync.PrefixRequest)), f.until())
	if !l.Since.IsZero() {
		l.from = usersync.IDBound(usersync.PrefixRequest, l.Since)
	}
	if f.Email.IsZero() {
		return l, true, nil
	}
	users, err := user.ByEmail(ctx, o, f.Email)
	if err != nil || len(users) == 0 {
		return l, false, err
	}
	l.user = users[0].ID
	return l, true, nil
}

// requestList is a list of requests on its way.
type requestList struct {
	*store.Org
	Filter
	from string // the smallest id
	user string // the id of the only user, or ""
}

// stored lists by what is stored of a request.
func (l requestList) stored(ctx context.Context) ([]string, error) {
	st, args := l.statement()
	return store.Collect(ctx, l.Reader(), st, nil, store.ScanString, args...)
}

// statement returns the one list to read. What is notable is found by its
// status, before all else.
func (l requestList) statement() (*store.Statement, []any) {
	args := []any{l.ID(), l.Before, l.from, store.Micros(l.Since), l.Limit}
	common := l.Status == "" || l.Status == Succeeded
	kind, status := string(l.Kind), string(l.Status)
	switch {
	case l.user != "" && common:
		return userRequestsStatement, append(args, status, kind, l.user)
	case l.user != "":
		return notableUserRequestsStatement, append(args, status, kind, l.user)
	case !common && kind == "":
		return notableRequestsStatement, append(args, status)
	case !common:
		return notableKindRequestsStatement, append(args, status, kind)
	case kind != "" && l.Kind != KindUserSync:
		return kindRequestsStatement, append(args, status, kind)
	}
	return allRequestsStatement, append(args, status, kind)
}

const (
	// fewTasks is how many tasks are looked at before the newest requests are.
	fewTasks = 100
	// allTasks is more than there ever are.
	allTasks = 1 << 40
	// recentRows is how many requests are looked at. It stands in the text: of a
	// limit it does not know PostgreSQL thinks a tenth of all, and sorts.
	recentRows = 1000
)

const recentText = `
SELECT x.id, CASE WHEN x.status = 'queued' AND ($5 = '' OR x.kind = $5)
    AND coalesce((SELECT t.claimed_until FROM outbox t WHERE t.id = x.task_id), 0) < {now} THEN 1 ELSE 0 END
FROM (SELECT q.id, q.kind, q.status, q.task_id FROM requests q
    WHERE {which} AND q.created_at >= $4 ORDER BY q.id DESC LIMIT {recent}) AS x
ORDER BY x.id DESC`

var (
	recentStatement       = store.Define("request.recent", recent(ofOrganization))
	recentOfUserStatement = store.Define("request.recentOfUser", recent(strings.ReplaceAll(ofUser, "$8", "$6")))
)

func recent(which string) string {
	return strings.NewReplacer("{which}", which, "{recent}", strconv.Itoa(recentRows)).Replace(recentText)
}

// The tasks of requests have the organization for their fairness key, which also leads
// to the scheduled ones. Those that wait for
// credits have no queued requests.
const ofRequests = `t.queue IN ('run', 'bulk') AND t.organization_id = $1 AND t.fairness_key = $1`

var (
	openTasksStatement = store.Define("request.openTasks", `
SELECT t.args FROM outbox t WHERE t.state = 'ready' AND `+ofRequests+`
UNION ALL SELECT t.args FROM outbox t WHERE t.state = 'sent' AND `+ofRequests+`
UNION ALL SELECT t.args FROM outbox t WHERE t.state = 'scheduled' AND `+ofRequests+`
UNION ALL SELECT t.args FROM outbox t WHERE t.state = 'poisoned' AND `+ofRequests+`
UNION ALL SELECT t.args FROM outbox t WHERE t.state = 'held' AND t.organization_id = $1 LIMIT $2`)
	claimedTasksStatement = store.Define("request.claimedTasks", `
SELECT t.args FROM outbox t WHERE t.state = 'sent' AND `+ofRequests+` AND t.claimed_until >= {now} LIMIT $2`)
	ofStatusStatement = store.Define("request.ofStatus", `
SELECT q.id FROM {rows} JOIN requests q ON q.organization_id = r.organization_id AND q.id = r.id
LEFT JOIN outbox t ON t.id = q.task_id
WHERE `+statusExpression+` = $1 AND ($2 = '' OR q.kind = $2) AND ($3 = '' OR q.user_id = $3) AND q.created_at >= $4
ORDER BY q.id DESC`, store.Col("organization_id", store.Text), store.Col("id", store.Text))
)

// queued lists what no worker has taken up.
func (l requestList) queued(ctx context.Context) ([]string, error) {
	tasks, err := l.tasks(ctx, openTasksStatement, fewTasks)
	if err != nil {
		return nil, fmt.Errorf("read the open tasks: %w", err)
	}
	if len(tasks) < fewTasks {
		return l.open(ctx, tasks)
	}
	found, all, err := l.recent(ctx)
	if err != nil || all || len(found) >= l.Limit {
		return found[:min(len(found), l.Limit)], err
	}
	if tasks, err = l.tasks(ctx, openTasksStatement, allTasks); err != nil {
		return nil, fmt.Errorf("read the open tasks: %w", err)
	}
	return l.open(ctx, tasks)
}

// tasks returns the arguments of up to limit tasks of requests.
func (l requestList) tasks(ctx context.Context, which *store.Statement, limit int) ([]string, error) {
	return store.Collect(ctx, l.Reader(), which, nil, store.ScanString, l.ID(), limit)
}

// recent returns those of the newest requests that are queued; all says that
// there are no others.
func (l requestList) recent(ctx context.Context) (found []string, all bool, err error) {
	st, args := l.newest()
	seen, err := store.Collect(ctx, l.Reader(), st, nil, func(scan func(...any) error) (struct{}, error) {
		var id string
		var queued int
		err := scan(&id, &queued)
		if queued == 1 {
			found = append(found, id)
		}
		return struct{}{}, err
	}, args...)
	return found, len(seen) < recentRows, err
}

// newest returns the look at the newest requests.
func (l requestList) newest() (*store.Statement, []any) {
	args := []any{l.ID(), l.Before, l.from, store.Micros(l.Since), string(l.Kind)}
	if l.user != "" {
		return recentOfUserStatement, append(args, l.user)
	}
	return recentStatement, args
}

// processing lists what a worker has taken up and what waits for platforms, or
// for another try.
func (l requestList) processing(ctx context.Context) ([]string, error) {
	tasks, err := l.tasks(ctx, claimedTasksStatement, allTasks)
	if err != nil {
		return nil, fmt.Errorf("read the claimed tasks: %w", err)
	}
	claimed, err := l.open(ctx, tasks)
	if err != nil {
		return nil, fmt.Errorf("read the requests of open tasks: %w", err)
	}
	stored, err := l.stored(ctx)
	if err != nil {
		return nil, fmt.Errorf("list the stored requests: %w", err)
	}
	ids := newestFirst(append(stored, claimed...))
	return ids[:min(len(ids), l.Limit)], nil
}

// verifyAtOnce is how many requests are asked for their status at once.
const verifyAtOnce = 500

// open lists those of the requests of some tasks that have the status.
func (l requestList) open(ctx context.Context, tasks []string) (found []string, err error) {
	var ids []string
	for _, args := range tasks {
		named, err := IDsFromTaskArgs(json.RawMessage(args))
		if err != nil {
			return nil, fmt.Errorf("read the arguments of a task: %w", err)
		}
		ids = append(ids, named...)
	}
	ids = newestFirst(slices.DeleteFunc(ids, func(id string) bool { return id >= l.Before || id < l.from }))
	//lint:loop asks slice after slice until the page is full
	for chunk := range slices.Chunk(ids, verifyAtOnce) {
		some, err := store.Collect(ctx, l.Reader(), ofStatusStatement, IDRows(ofStatusStatement, l.ID(), chunk), store.ScanString,
			string(l.Status), string(l.Kind), l.user, store.Micros(l.Since))
		if err != nil {
			return nil, fmt.Errorf("read the requests of a status: %w", err)
		}
		if found = append(found, some...); len(found) >= l.Limit {
			return found[:l.Limit], nil
		}
	}
	return found, nil
}

// IDsFromTaskArgs returns the requests that the arguments of a task name: those of
// a batch, one, or none.
func IDsFromTaskArgs(args json.RawMessage) ([]string, error) {
	var named struct {
		Batch []string `json:"requests"`
		One   string   `json:"request"`
	}
	if err := json.Unmarshal(args, &named); err != nil {
		return nil, err
	}
	if named.One != "" {
		named.Batch = append(named.Batch, named.One)
	}
	return named.Batch, nil
}

// newestFirst sorts ids and drops what is there twice.
func newestFirst(ids []string) []string {
	slices.SortFunc(ids, func(a, b string) int { return cmp.Compare(b, a) })
	return slices.Compact(ids)
}
