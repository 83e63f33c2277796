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

// usersSync is what a bulk call asks for. A call has one of two shapes: it syncs
// a list, or it makes an audience.
type usersSync struct {
	platform string
	dryRun   bool

	listID   string
	syncType string
	userIDs  []string
	tags     []string
	// remove takes the users off the list and the tags away.
	remove bool

	audienceName        string
	audienceDescription string
	filterActive        bool
	activeDays          int
}

// The parameters that only one of the shapes has.
var (
	listOnly     = []string{"list_id", "sync_type", "user_ids", "tags", "remove"}
	audienceOnly = []string{"audienceName", "audienceDescription", "filterActive", "activeDays"}
)

func (u *usersSync) parameters() []parameter {
	return append(u.filter(),
		text("platform", &u.platform, maxName), flag("dryRun", &u.dryRun),
		text("list_id", &u.listID, maxName), text("sync_type", &u.syncType, maxName),
		list("user_ids", &u.userIDs, maxUserIDs, maxID, "an id, and no address,", isID), list("tags", &u.tags, maxTags, maxTag, "a text", isText), flag("remove", &u.remove),
		text("audienceName", &u.audienceName, maxName), text("audienceDescription", &u.audienceDescription, maxDescription))
}

func (u *usersSync) filter() []parameter {
	return []parameter{flag("filterActive", &u.filterActive), whole("activeDays", &u.activeDays, maxDays)}
}

// check completes what the parameters say. It reports whether the call makes an
// audience.
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

// activeSince returns the time since which users must have been reported. It is
// zero when all users are meant.
func (u *usersSync) activeSince(now time.Time) usersync.Time {
	if !u.filterActive {
		return usersync.Time{}
	}
	return usersync.Time{Time: now.AddDate(0, 0, -u.activeDays).UTC()}
}

// syncUsers is POST /api/marketing/sync-users.
func (h *Handlers) syncUsers(c *api.Call) error {
	now := time.Now()
	u := usersSync{activeDays: defaultDays}
	t, err := take(c, u.parameters())
	if err != nil {
		return err
	}
	audience, err := u.check(t, now)
	if err != nil {
		return fmt.Errorf("check the parameters: %w", err)
	}
	repeated, err := c.Repeated()
	if err != nil {
		return fmt.Errorf("look for an earlier call: %w", err)
	}
	if repeated { // whatever has become of the platform since
		return h.runBulk(c, bulk.Input{})
	}
	plan := h.planList
	if audience {
		plan = h.planAudience
	}
	b, err := plan(c, u)
	if err != nil {
		return fmt.Errorf("plan the bulk: %w", err)
	}
	b.ActiveSince = u.activeSince(now)
	return h.runBulk(c, b)
}

// planList finds the connection to sync. That is the active one whose settings
// name the list; when none does, it is the first one, with another list for this
// bulk.
func (h *Handlers) planList(c *api.Call, u usersSync) (b bulk.Input, err error) {
	kind, connections, err := h.connections(c, u.platform)
	if err != nil {
		return b, fmt.Errorf("find the connections: %w", err)
	}
	asked := usersync.PlatformSync{List: u.listID, Tags: u.tags}
	chosen, patch, err := choose(kind, connections, asked)
	if err != nil {
		return b, fmt.Errorf("choose a connection: %w", err)
	}
	if u.remove { // what is to be left is named, also where it is the connection's own
		if chosen, _, err = choose(kind, connections, usersync.PlatformSync{List: u.listID}); err != nil {
			return b, fmt.Errorf("choose a connection: %w", err)
		}
		patch, patch.Remove = asked, true
	}
	if err := h.checkPatch(c, chosen.ID, patch); err != nil {
		return b, fmt.Errorf("check the list and the tags at the platform: %w", err)
	}
	patch.DryRun = u.dryRun
	return bulk.Input{PlatformSync: patch, Connection: chosen.ID, UserIDs: u.userIDs}, nil
}

// connections returns the organization's active connections to a platform. It
// returns an error when there is none.
func (h *Handlers) connections(c *api.Call, name string) (kind connector.Platform, active []platform.Connection, err error) {
	at := slices.IndexFunc(h.Management.Platforms, func(k connector.Platform) bool { return k.Name == name })
	if at < 0 {
		return kind, nil, api.Invalid("platform", "is not one of "+h.names())
	}
	all, err := h.Management.ListDestinations(c.Context(), c.Caller.Org)
	if err != nil {
		return kind, nil, fmt.Errorf("list the connections: %w", err)
	}
	all = slices.DeleteFunc(all, func(one platform.Connection) bool { return one.Platform != name })
	if len(all) == 0 {
		return kind, nil, api.Invalid("platform", "is not connected; make a connection to "+name+" first")
	}
	active = slices.DeleteFunc(slices.Clone(all), func(one platform.Connection) bool { return one.Status != platform.ConnectionActive })
	if len(active) == 0 {
		return kind, nil, usersync.Errorf(usersync.CodeConflict, "The connection to %s is %s.", name, all[0].Status)
	}
	return h.Management.Platforms[at], active, nil
}

func (h *Handlers) names() string {
	names := make([]string, len(h.Management.Platforms))
	for i, k := range h.Management.Platforms {
		names[i] = k.Name
	}
	return strings.Join(names, ", ")
}

// choose returns the connection to push to and what is overridden there. Nothing
// is overridden at a connection whose settings say the same.
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

// patchFault refuses the parameter that the platform does not support.
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
func (h *Handlers) planAudience(c *api.Call, u usersSync) (b bulk.Input, err error) {
	connection, err := h.audienceMaker(c, u.platform)
	if err != nil {
		return b, fmt.Errorf("find a connection that makes audiences: %w", err)
	}
	if err := h.checkAudience(c, connection.ID, u.audienceName); err != nil {
		return b, fmt.Errorf("check the name of the audience at the platform: %w", err)
	}
	return bulk.Input{
		PlatformSync: usersync.PlatformSync{DryRun: u.dryRun}, Connection: connection.ID,
		AudienceName: u.audienceName, AudienceDescription: u.audienceDescription,
	}, nil
}

var errNoAudiences = usersync.Errorf(usersync.CodeInvalid, "No connected platform can make audiences; connect one, or sync a list by platform, list_id and sync_type.")

// audienceMaker returns the first active connection whose connector makes
// audiences. When name is not "", it is one to the platform of that name.
func (h *Handlers) audienceMaker(c *api.Call, name string) (none platform.Connection, err error) {
	var all []platform.Connection
	if name != "" {
		_, all, err = h.connections(c, name)
	} else {
		all, err = h.Management.ListDestinations(c.Context(), c.Caller.Org)
	}
	if err != nil {
		return none, fmt.Errorf("find the connections: %w", err)
	}
	for _, one := range all {
		if one.Status == platform.ConnectionActive && h.makesAudiences(c, one) {
			return one, nil
		}
	}
	return none, errNoAudiences
}

// makesAudiences reports whether the connector of a connection makes audiences. A
// connection that cannot be opened makes none.
func (h *Handlers) makesAudiences(c *api.Call, one platform.Connection) bool {
	if h.Open == nil {
		return false
	}
	opened, err := h.Open(c.Context(), c.Caller.Org.ID(), one.ID, usersync.PlatformSync{})
	if err != nil {
		return false
	}
	_, ok := opened.(connector.AudienceMaker)
	return ok
}

// listBody is the answer to a call that syncs a list. It has the contract's fields
// in its order. Our own follow; the answer to a finished sync that is no dry run
// has none of them.
type listBody struct {
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

// audienceBody is the answer to a call that makes an audience.
type audienceBody struct {
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

func (h *Handlers) runBulk(c *api.Call, b bulk.Input) error {
	item, err := c.Asking(request.KindPlatformBulk, "", usersync.Email{}, b)
	if err != nil {
		return fmt.Errorf("make the request: %w", err)
	}
	sub, err := c.Submit([]*intake.Acceptance{item}, nil)
	if err != nil {
		return fmt.Errorf("accept the request: %w", err)
	}
	id := sub.Accepted[0].RequestID
	if sub.Replayed {
		// The default name holds the day of the first call.
		if b, err = h.Management.GetBulkInput(c.Context(), c.Caller.Org, id); err != nil {
			return fmt.Errorf("read what the first call asked for: %w", err)
		}
	}
	report, err := awaitRequest(c, id)
	if err != nil {
		return err
	}
	if b.AudienceName != "" {
		return c.JSON(statusOf(report), newAudienceBody(report, b))
	}
	return c.JSON(statusOf(report), newListBody(report, b))
}

func newListBody(r *request.View, b bulk.Input) listBody {
	p := r.Progress
	a := listBody{
		Success: succeeded(r), SyncID: bulk.SyncID(r.RequestID), DryRun: b.DryRun, Message: fault(r),
		Stats: stats{Total: p.Total, Added: p.Added, Updated: p.Updated, Removed: p.Removed, Errors: p.Errors},
	}
	if !r.Status.Final() {
		a.Progress = p
	}
	return a
}

// fault returns why a bulk has failed as a whole or waits for its connection, "" when it
// does neither.
func fault(r *request.View) string {
	for _, s := range r.Steps {
		switch s.Status {
		case request.StepFailed:
			return failureDetails(s)
		case request.StepSkipped:
			return s.Details
		}
	}
	return ""
}

func newAudienceBody(r *request.View, b bulk.Input) audienceBody {
	p := r.Progress
	in := p.Added + p.Updated + p.Unchanged
	a := audienceBody{
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

// filled returns a sentence on how many contacts an audience has.
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

// previewBody is the answer of GET /api/marketing/sync-users.
type previewBody struct {
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

func (h *Handlers) previewUsers(c *api.Call) error {
	u := usersSync{activeDays: defaultDays}
	t, err := take(c, u.filter())
	if err != nil {
		return err
	}
	if err := t.err(); err != nil {
		return fmt.Errorf("check the parameters: %w", err)
	}
	count, first, err := h.Management.PreviewBulk(c.Context(), c.Caller.Org, u.activeSince(time.Now()).Time, previewed)
	if err != nil {
		return fmt.Errorf("preview the bulk: %w", err)
	}
	out := previewBody{Success: true, Count: count, Users: []previewedUser{}}
	for _, s := range first {
		in := usersync.UserInput{FirstName: s.FirstName, LastName: s.LastName, Name: s.Name}
		out.Users = append(out.Users, previewedUser{s.Email, in.FullName(), s.FirstName, s.LastName})
	}
	return c.JSON(http.StatusOK, out)
}
