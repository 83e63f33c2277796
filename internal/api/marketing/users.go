package marketing

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"time"

	"usersync/internal/api"
	"usersync/internal/bulk"
	"usersync/internal/connector"
	"usersync/internal/intake"
	"usersync/internal/platform"
	"usersync/internal/request"
	"usersync/internal/usersync"
)

// Bounds of a bulk call.
const (
	bulkLimit      = 8 << 20 // bytes of the body: room for maxUserIDs
	maxUserIDs     = 100_000
	maxID          = 64 // characters
	maxTags        = 50
	maxTag         = 100
	maxDescription = 1000
	maxDays        = 3650
	defaultDays    = 30
	previewed      = 5
)

// Values of sync_type.
const (
	syncAll      = "all"
	syncSelected = "selected"
)

// usersSync is what a bulk call asks for, in both of its shapes: a list to be
// synced (A), or an audience to be made (B).
type usersSync struct {
	platform string
	dryRun   bool

	listID   string
	syncType string
	userIDs  []string
	tags     []string

	audienceName        string
	audienceDescription string
	filterActive        bool
	activeDays          int
}

// The parameters that only one of the shapes has.
var (
	listOnly     = []string{"list_id", "sync_type", "user_ids", "tags"}
	audienceOnly = []string{"audienceName", "audienceDescription", "filterActive", "activeDays"}
)

func (u *usersSync) parameters() []parameter {
	return append(u.filter(),
		text("platform", &u.platform, maxName), flag("dryRun", &u.dryRun),
		text("list_id", &u.listID, maxName), text("sync_type", &u.syncType, maxName),
		list("user_ids", &u.userIDs, maxUserIDs, maxID, isID), list("tags", &u.tags, maxTags, maxTag, isText),
		text("audienceName", &u.audienceName, maxName), text("audienceDescription", &u.audienceDescription, maxDescription))
}

func (u *usersSync) filter() []parameter {
	return []parameter{flag("filterActive", &u.filterActive), whole("activeDays", &u.activeDays, maxDays)}
}

// check completes what the parameters say; audience tells the shape.
func (u *usersSync) check(t *taken, now time.Time) (audience bool, err error) {
	isGiven := func(name string) bool { return t.given[name] }
	lists, audiences := slices.IndexFunc(listOnly, isGiven), slices.IndexFunc(audienceOnly, isGiven)
	if lists >= 0 && audiences >= 0 {
		t.refuse(audienceOnly[audiences], "cannot stand beside "+listOnly[lists]+": sync a list, or make an audience")
		return false, t.err()
	}
	if lists < 0 && (audiences >= 0 || !t.given["platform"]) {
		if u.audienceName == "" {
			u.audienceName = "Audience " + now.UTC().Format(time.DateOnly)
		}
		return true, t.err()
	}
	t.require("platform")
	t.require("sync_type")
	switch {
	case t.refused("sync_type"), u.syncType == syncAll:
		u.userIDs = nil
	case u.syncType != syncSelected:
		t.refuse("sync_type", "must be all or selected")
	case len(u.userIDs) == 0 && !t.refused("user_ids"):
		t.refuse("user_ids", "must name the users to sync")
	}
	return false, t.err()
}

// activeSince is the earliest time that users were last told of; zero for all.
func (u *usersSync) activeSince(now time.Time) usersync.Time {
	if !u.filterActive {
		return usersync.Time{}
	}
	return usersync.Time{Time: now.AddDate(0, 0, -u.activeDays).UTC()}
}

// syncUsers is POST /api/marketing/sync-users.
func (o Options) syncUsers(c *api.Call) error {
	now := time.Now()
	u := usersSync{activeDays: defaultDays}
	t, err := take(c, u.parameters())
	if err != nil {
		return err
	}
	audience, err := u.check(t, now)
	if err != nil {
		return err
	}
	plan := o.planList
	if audience {
		plan = o.planAudience
	}
	bulk, err := plan(c, u)
	if err != nil {
		return err
	}
	bulk.ActiveSince = u.activeSince(now)
	return o.runBulk(c, bulk)
}

// planList finds the connection to sync: the active one whose list is meant, or
// else the first, to another list.
func (o Options) planList(c *api.Call, u usersSync) (b bulk.Input, err error) {
	kind, connections, err := o.connections(c, u.platform)
	if err != nil {
		return b, err
	}
	chosen, patch, err := choose(kind, connections, usersync.PlatformSync{List: u.listID, Tags: u.tags})
	if err != nil {
		return b, err
	}
	patch.DryRun = u.dryRun
	return bulk.Input{PlatformSync: patch, Connection: chosen.ID, UserIDs: u.userIDs}, nil
}

// connections returns the organization's active connections to a platform; the
// error says why there is none.
func (o Options) connections(c *api.Call, name string) (kind connector.Platform, active []platform.Connection, err error) {
	at := slices.IndexFunc(o.Kinds, func(k connector.Platform) bool { return k.Name == name })
	if at < 0 {
		return kind, nil, api.Invalid("platform", "is not one of "+o.names())
	}
	all, err := platform.ListDestinations(c.Context(), c.Caller.Org)
	if err != nil {
		return kind, nil, err
	}
	all = slices.DeleteFunc(all, func(one platform.Connection) bool { return one.Platform != name })
	if len(all) == 0 {
		return kind, nil, api.Invalid("platform", "is not connected; make a connection to "+name+" first")
	}
	active = slices.DeleteFunc(slices.Clone(all), func(one platform.Connection) bool { return one.Status != platform.ConnectionActive })
	if len(active) == 0 {
		return kind, nil, usersync.Errorf(usersync.CodeConflict, "The connection to %s is %s.", name, all[0].Status)
	}
	return o.Kinds[at], active, nil
}

func (o Options) names() string {
	names := make([]string, len(o.Kinds))
	for i, k := range o.Kinds {
		names[i] = k.Name
	}
	return strings.Join(names, ", ")
}

// choose returns the connection to push to and what must be overridden there:
// nothing at one whose settings say the same.
func choose(kind connector.Platform, active []platform.Connection, patch usersync.PlatformSync) (platform.Connection, usersync.PlatformSync, error) {
	for _, one := range active {
		patched, err := kind.Patch(one.Settings, patch)
		if err != nil {
			return one, patch, patchFault(kind, one, patch, err)
		}
		if sameJSON(patched, one.Settings) {
			return one, usersync.PlatformSync{}, nil
		}
	}
	return active[0], patch, nil
}

// patchFault names the parameter that the platform has nothing for.
func patchFault(kind connector.Platform, one platform.Connection, patch usersync.PlatformSync, err error) error {
	message := usersync.AsError(err).Message
	if patch.List != "" {
		if _, wrong := kind.Patch(one.Settings, usersync.PlatformSync{List: patch.List}); wrong != nil {
			return api.Invalid("list_id", "cannot be given: "+message)
		}
	}
	return api.Invalid("tags", "cannot be given: "+message)
}

func sameJSON(a, b json.RawMessage) bool {
	var x, y any
	if json.Unmarshal(a, &x) != nil || json.Unmarshal(b, &y) != nil {
		return false
	}
	return reflect.DeepEqual(x, y)
}

// planAudience finds the connection that makes the audience.
func (o Options) planAudience(c *api.Call, u usersSync) (b bulk.Input, err error) {
	connection, err := o.audienceMaker(c, u.platform)
	if err != nil {
		return b, err
	}
	return bulk.Input{
		PlatformSync: usersync.PlatformSync{DryRun: u.dryRun}, Connection: connection.ID,
		AudienceName: u.audienceName, AudienceDescription: u.audienceDescription,
	}, nil
}

var errNoAudiences = usersync.Errorf(usersync.CodeInvalid, "No connected platform can make audiences; connect one, or sync a list by platform, list_id and sync_type.")

// audienceMaker returns the first active connection whose connector makes
// audiences; with a platform, the first of that.
func (o Options) audienceMaker(c *api.Call, name string) (none platform.Connection, err error) {
	var all []platform.Connection
	if name != "" {
		_, all, err = o.connections(c, name)
	} else {
		all, err = platform.ListDestinations(c.Context(), c.Caller.Org)
	}
	if err != nil {
		return none, err
	}
	for _, one := range all {
		if one.Status == platform.ConnectionActive && o.makesAudiences(c, one) {
			return one, nil
		}
	}
	return none, errNoAudiences
}

// makesAudiences opens a connection to see what it can do; one that cannot be
// opened can do nothing.
func (o Options) makesAudiences(c *api.Call, one platform.Connection) bool {
	if o.Open == nil {
		return false
	}
	opened, err := o.Open(c.Context(), c.Caller.Org.ID(), one.ID)
	if err != nil {
		return false
	}
	_, ok := opened.(connector.AudienceMaker)
	return ok
}

// listAnswer is the answer of shape A: the contract's fields in its order, and
// behind them ours, which a finished real sync has none of.
type listAnswer struct {
	Success  bool              `json:"success"`
	SyncID   string            `json:"sync_id"`
	Stats    stats             `json:"stats"`
	DryRun   bool              `json:"dryRun,omitempty"`
	Message  string            `json:"message,omitempty"`
	Progress *request.Progress `json:"progress,omitempty"`
}

type stats struct {
	Total   int64 `json:"total"`
	Added   int64 `json:"added"`
	Updated int64 `json:"updated"`
	Removed int64 `json:"removed"`
	Errors  int64 `json:"errors"`
}

// audienceAnswer is the answer of shape B.
type audienceAnswer struct {
	Success       bool              `json:"success"`
	Audience      audience          `json:"audience"`
	ContactsAdded int64             `json:"contacts_added"`
	Message       string            `json:"message"`
	DryRun        bool              `json:"dryRun,omitempty"`
	SyncID        string            `json:"sync_id,omitempty"`
	Progress      *request.Progress `json:"progress,omitempty"`
}

type audience struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

func (o Options) runBulk(c *api.Call, b bulk.Input) error {
	item, err := c.Asking(request.KindPlatformBulk, "", usersync.Email{}, b)
	if err != nil {
		return err
	}
	sub, err := c.Submit([]*intake.Acceptance{item}, nil)
	if err != nil {
		return err
	}
	id := sub.Accepted[0].RequestID
	if sub.Replayed {
		// A name that was made of the day stays the first day's.
		if b, err = bulk.LoadInput(c.Context(), c.Caller.Org, id); err != nil {
			return err
		}
	}
	o.Wake()
	c.Header().Set("Location", "/v1/requests/"+id)
	report, err := c.Await(id, awaited)
	if err != nil {
		return err
	}
	status := http.StatusOK
	if !report.Status.Final() {
		status = http.StatusAccepted
		c.Header().Set("Retry-After", "1")
	}
	if b.AudienceName != "" {
		return c.JSON(status, audienceOf(report, b))
	}
	return c.JSON(status, listOf(report, b))
}

func listOf(r *request.View, b bulk.Input) listAnswer {
	p := r.Progress
	a := listAnswer{
		Success: succeeded(r), SyncID: bulk.SyncID(r.RequestID), DryRun: b.DryRun, Message: fault(r),
		Stats: stats{Total: p.Total, Added: p.Added, Updated: p.Updated, Removed: p.Removed, Errors: p.Errors},
	}
	if !r.Status.Final() {
		a.Progress = p
	}
	return a
}

// fault says why a bulk has failed as a whole; "" when it has not.
func fault(r *request.View) string {
	for _, s := range r.Steps {
		if s.Status == request.StepFailed {
			return failed(s)
		}
	}
	return ""
}

func audienceOf(r *request.View, b bulk.Input) audienceAnswer {
	p := r.Progress
	in := p.Added + p.Updated + p.Unchanged
	a := audienceAnswer{
		Success: succeeded(r), Audience: audience{p.AudienceID, b.AudienceName}, ContactsAdded: in, DryRun: b.DryRun, Message: fault(r),
	}
	if a.Message == "" {
		a.Message = filled(r, b, in)
	}
	if !r.Status.Final() {
		a.SyncID, a.Progress = bulk.SyncID(r.RequestID), p
	}
	return a
}

// filled says how far an audience is.
func filled(r *request.View, bulk bulk.Input, in int64) string {
	p := r.Progress
	switch {
	case !r.Status.Final():
		return fmt.Sprintf("The audience '%s' is being filled: %d of %d contacts so far.", bulk.AudienceName, p.Done, p.Total)
	case bulk.DryRun:
		return fmt.Sprintf("The audience '%s' would be made and get %d of %d contacts.", bulk.AudienceName, in, p.Total)
	}
	return fmt.Sprintf("The audience '%s' has %d of %d contacts; %d failed.", bulk.AudienceName, in, p.Total, p.Errors)
}

// preview is the answer of GET /api/marketing/sync-users.
type preview struct {
	Success bool            `json:"success"`
	Count   int64           `json:"count"`
	Users   []previewedUser `json:"users"`
}

type previewedUser struct {
	Email     usersync.Email `json:"email"`
	FullName  string         `json:"full_name"`
	FirstName string         `json:"first_name"`
	LastName  string         `json:"last_name"`
}

func previewUsers(c *api.Call) error {
	u := usersSync{activeDays: defaultDays}
	t, err := take(c, u.filter())
	if err != nil {
		return err
	}
	if err := t.err(); err != nil {
		return err
	}
	count, first, err := bulk.Preview(c.Context(), c.Caller.Org, u.activeSince(time.Now()).Time, previewed)
	if err != nil {
		return err
	}
	out := preview{Success: true, Count: count, Users: []previewedUser{}}
	for _, s := range first {
		in := usersync.UserInput{FirstName: s.FirstName, LastName: s.LastName, Name: s.Name}
		out.Users = append(out.Users, previewedUser{s.Email, in.FullName(), s.FirstName, s.LastName})
	}
	return c.JSON(http.StatusOK, out)
}
