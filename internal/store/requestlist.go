package store

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"usersync/internal/usersync"
)

// RequestFilter narrows a list of requests.
type RequestFilter struct {
	Status usersync.RequestStatus
	Email  usersync.Email
	Kind   usersync.RequestKind
	Since  time.Time
	Before string // an id: only older ones
	Limit  int
}

// afterAll sorts behind every id of a kind: where a list begins that is read from
// the newest on. A list that begins there and one that goes on are one statement,
// and both read the index from where they begin.
func afterAll(p usersync.Prefix) string { return string(p) + "~" }

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
	allRequestsStatement         = define(newest(ofOrganization + ofThisKind + ofThisStatus))
	kindRequestsStatement        = define(newest(ofKind + ofThisStatus))
	userRequestsStatement        = define(newest(ofUser + ofThisKind + ofThisStatus))
	notableRequestsStatement     = define(eachKind(newest(notable)))
	notableKindRequestsStatement = define(newest(notable))
	notableUserRequestsStatement = define(newest(notableOfUser + ofThisKind))
)

// eachKind merges the newest of each kind.
func eachKind(query string) string {
	var parts []string
	for i, k := range usersync.RequestKinds {
		parts = append(parts, fmt.Sprintf("SELECT * FROM (%s) AS kind%d", strings.ReplaceAll(query, "$7", "'"+string(k)+"'"), i))
	}
	return strings.Join(parts, "\nUNION ALL ") + "\nORDER BY id DESC LIMIT $5"
}

// RequestIDs returns the ids of the matching requests, newest first.
func (o *Org) RequestIDs(ctx context.Context, f RequestFilter) ([]string, error) {
	l, some, err := o.list(ctx, f)
	if err != nil || !some {
		return nil, err
	}
	switch f.Status {
	case usersync.RequestQueued:
		return l.queued(ctx)
	case usersync.RequestProcessing:
		return l.processing(ctx)
	default:
		return l.stored(ctx)
	}
}

// list prepares the list of what a filter lets through; some is false when that
// can be nothing.
func (o *Org) list(ctx context.Context, f RequestFilter) (l requestList, some bool, err error) {
	if f.Kind != "" && !f.Kind.Valid() {
		return l, false, nil
	}
	l = requestList{Org: o, RequestFilter: f}
	l.Before = cmp.Or(l.Before, afterAll(usersync.PrefixRequest))
	if !l.Since.IsZero() {
		l.from = usersync.IDBound(usersync.PrefixRequest, l.Since)
	}
	if f.Email.IsZero() {
		return l, true, nil
	}
	users, err := o.UserByEmail(ctx, f.Email)
	if err != nil || len(users) == 0 {
		return l, false, err
	}
	l.user = users[0].ID
	return l, true, nil
}

// requestList is a list of requests on its way.
type requestList struct {
	*Org
	RequestFilter
	from string // the smallest id
	user string // the id of the only user, or ""
}

// stored lists by what is stored of a request.
func (l requestList) stored(ctx context.Context) ([]string, error) {
	st, args := l.statement()
	return collect(ctx, l.store.reader(), st, nil, scanString, args...)
}

// statement returns the one list to read. What is notable is found by its
// status, before all else.
func (l requestList) statement() (*statement, []any) {
	args := []any{l.id, l.Before, l.from, micros(l.Since), l.Limit}
	common := l.Status == "" || l.Status == usersync.RequestSucceeded
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
	case kind != "" && l.Kind != usersync.KindUserSync:
		return kindRequestsStatement, append(args, status, kind)
	}
	return allRequestsStatement, append(args, status, kind)
}

// What is queued, and what is being worked of it, is not told by the row of a
// request alone, and an index of it would be written for every request. It is
// found from what is in the outbox; where much waits there, most of what is new
// does, so the newest requests are looked at before all tasks are.

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
	recentStatement       = define(recent(ofOrganization))
	recentOfUserStatement = define(recent(strings.ReplaceAll(ofUser, "$8", "$6")))
)

func recent(which string) string {
	return strings.NewReplacer("{which}", which, "{recent}", strconv.Itoa(recentRows)).Replace(recentText)
}

// The tasks of requests have the organization for their lane. Those that wait for
// credits have no queued requests.
const ofRequests = `t.queue IN ('run', 'bulk') AND t.lane = $1`

var (
	openTasksStatement = define(`
SELECT t.args FROM outbox t WHERE t.state = 'ready' AND ` + ofRequests + `
UNION ALL SELECT t.args FROM outbox t WHERE t.state = 'sent' AND ` + ofRequests + `
UNION ALL SELECT t.args FROM outbox t WHERE t.state = 'scheduled' AND ` + ofRequests + ` LIMIT $2`)
	claimedTasksStatement = define(`
SELECT t.args FROM outbox t WHERE t.state = 'sent' AND ` + ofRequests + ` AND t.claimed_until >= {now} LIMIT $2`)
	ofStatusStatement = define(`
SELECT q.id FROM {rows} JOIN requests q ON q.organization_id = r.organization_id AND q.id = r.id
LEFT JOIN outbox t ON t.id = q.task_id
WHERE `+statusExpression+` = $1 AND ($2 = '' OR q.kind = $2) AND ($3 = '' OR q.user_id = $3) AND q.created_at >= $4
ORDER BY q.id DESC`, col("organization_id", text), col("id", text))
)

// queued lists what no worker has taken up.
func (l requestList) queued(ctx context.Context) ([]string, error) {
	tasks, err := l.tasks(ctx, openTasksStatement, fewTasks)
	if err != nil {
		return nil, err
	}
	if len(tasks) < fewTasks {
		return l.open(ctx, tasks)
	}
	found, all, err := l.recent(ctx)
	if err != nil || all || len(found) >= l.Limit {
		return found[:min(len(found), l.Limit)], err
	}
	if tasks, err = l.tasks(ctx, openTasksStatement, allTasks); err != nil {
		return nil, err
	}
	return l.open(ctx, tasks)
}

// tasks returns the arguments of up to limit tasks of requests.
func (l requestList) tasks(ctx context.Context, which *statement, limit int) ([]string, error) {
	return collect(ctx, l.store.reader(), which, nil, scanString, l.id, limit)
}

// recent returns those of the newest requests that are queued; all says that
// there are no others.
func (l requestList) recent(ctx context.Context) (found []string, all bool, err error) {
	st, args := l.newest()
	seen, err := collect(ctx, l.store.reader(), st, nil, func(scan func(...any) error) (struct{}, error) {
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
func (l requestList) newest() (*statement, []any) {
	args := []any{l.id, l.Before, l.from, micros(l.Since), string(l.Kind)}
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
		return nil, err
	}
	claimed, err := l.open(ctx, tasks)
	if err != nil {
		return nil, err
	}
	stored, err := l.stored(ctx)
	if err != nil {
		return nil, err
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
		named, err := TaskRequests(json.RawMessage(args))
		if err != nil {
			return nil, err
		}
		ids = append(ids, named...)
	}
	ids = newestFirst(slices.DeleteFunc(ids, func(id string) bool { return id >= l.Before || id < l.from }))
	//lint:loop asks slice after slice until the page is full
	for chunk := range slices.Chunk(ids, verifyAtOnce) {
		some, err := collect(ctx, l.store.reader(), ofStatusStatement, requestRows(ofStatusStatement, l.id, chunk), scanString,
			string(l.Status), string(l.Kind), l.user, micros(l.Since))
		if err != nil {
			return nil, err
		}
		if found = append(found, some...); len(found) >= l.Limit {
			return found[:l.Limit], nil
		}
	}
	return found, nil
}

// TaskRequests returns the requests that the arguments of a task name: those of
// a batch, one, or none.
func TaskRequests(args json.RawMessage) ([]string, error) {
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
