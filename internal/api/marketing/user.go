package marketing

import (
	"cmp"
	"fmt"
	"net/http"
	"time"

	"usersync/internal/api"
	"usersync/internal/identity"
	"usersync/internal/intake"
	"usersync/internal/platform"
	"usersync/internal/request"
	"usersync/internal/user"
	"usersync/internal/usersync"
)

// awaited is how long a call waits for its work unless it prefers otherwise.
const awaited = 10 * time.Second

// maxName bounds a first name in characters, as where users are made.
const maxName = 256

// maxEmail bounds an address in characters. Every valid address is shorter.
const maxEmail = 512

var errNoUser = usersync.Errorf(usersync.CodeNotFound, "User not found with the specified email")

// userSync is what a call about one user asks for.
type userSync struct {
	email     usersync.Email
	dryRun    bool
	firstName string
	// remove takes the user off what follows, in place of a push.
	remove   bool
	platform string
	listID   string
	tags     []string
}

func (u *userSync) parameters(email *string) []parameter {
	return []parameter{text("email", email, maxEmail), flag("dryRun", &u.dryRun), text("first_name", &u.firstName, maxName),
		flag("remove", &u.remove), text("platform", &u.platform, maxName), text("list_id", &u.listID, maxName),
		list("tags", &u.tags, maxTags, maxTag, "a text", isText)}
}

// removalOnly are the parameters that count only beside remove.
var removalOnly = []string{"platform", "list_id", "tags"}

// check returns what the parameters ask for.
func (u *userSync) check(t *taken, email string) error {
	if !u.remove {
		t.ignore(removalOnly...)
	} else if t.given["list_id"] {
		t.require("platform")
	}
	t.given["email"] = email != ""
	t.require("email")
	if !t.refused("email") {
		var err error
		if u.email, err = identity.ParseEmail(email); err != nil {
			t.refuse("email", "must be an e-mail address")
		}
	}
	return t.err()
}

// userBody is the answer of the contract, with its fields in its order. RequestID
// is our own, and is there only until the work is done.
type userBody struct {
	Success   bool           `json:"success"`
	User      shownUser      `json:"user"`
	DryRun    bool           `json:"dryRun"`
	Platforms []platformBody `json:"platforms"`
	RequestID string         `json:"requestId,omitempty"`
}

type shownUser struct {
	ID        string         `json:"id"`
	Email     usersync.Email `json:"email"`
	FirstName string         `json:"first_name"`
	LastName  string         `json:"last_name"`
}

// platformBody says what became of the user at one platform.
type platformBody struct {
	Name    string             `json:"name"`
	Status  request.StepStatus `json:"status"`
	Details string             `json:"details"`
}

// syncUser is POST /api/marketing/sync-user.
func (h *Handlers) syncUser(c *api.Call) error { return h.pushUser(c, userSync{}) }

// testSyncUser is /api/test/sync-user: dryRun is true unless it is given.
func (h *Handlers) testSyncUser(c *api.Call) error { return h.pushUser(c, userSync{dryRun: true}) }

// pushUser pushes the user that the parameters name; u holds their defaults.
func (h *Handlers) pushUser(c *api.Call, u userSync) error {
	email := ""
	t, err := take(c, u.parameters(&email))
	if err != nil {
		return err
	}
	if err := u.check(t, email); err != nil {
		return fmt.Errorf("check the parameters: %w", err)
	}
	users, err := h.Management.ListUsersByEmail(c.Context(), c.Caller.Org, u.email)
	if err != nil {
		return fmt.Errorf("find the user: %w", err)
	}
	if len(users) == 0 {
		return errNoUser
	}
	known := users[0]
	in, err := h.asked(c, u)
	if err != nil {
		return err
	}
	item, err := c.Asking(request.KindPlatformSync, known.ID, u.email, in)
	if err != nil {
		return fmt.Errorf("make the request: %w", err)
	}
	sub, err := c.Submit([]*intake.Acceptance{item}, nil)
	if err != nil {
		return fmt.Errorf("accept the request: %w", err)
	}
	report, err := awaitRequest(c, sub.Accepted[0].RequestID)
	if err != nil {
		return err
	}
	status := statusOf(report)
	if report.Rests() {
		status = http.StatusOK // there is no more to tell before somebody resumes the connection
	}
	return c.JSON(status, newUserBody(u, known.Stored, report))
}

// asked is what a call asks of the pushes.
func (h *Handlers) asked(c *api.Call, u userSync) (usersync.PlatformSync, error) {
	if !u.remove {
		return usersync.PlatformSync{DryRun: u.dryRun, FirstName: u.firstName}, nil
	}
	in := usersync.PlatformSync{DryRun: u.dryRun, Remove: true, Platform: u.platform, List: u.listID, Tags: u.tags}
	if u.platform == "" {
		return in, nil
	}
	_, connections, err := h.connections(c, u.platform)
	if usersync.CodeOf(err) == usersync.CodeConflict {
		return in, nil // its step says so
	}
	if err != nil {
		return in, fmt.Errorf("find the connections: %w", err)
	}
	return in, h.checkPatch(c, connections[0].ID, usersync.PlatformSync{List: u.listID, Tags: u.tags})
}

// awaitRequest waits for a request that was accepted, and says where it is and
// when to look again.
func awaitRequest(c *api.Call, id string) (*request.View, error) {
	c.Header().Set("Location", "/v1/requests/"+id)
	report, err := c.Await(id, awaited)
	if err != nil {
		return nil, fmt.Errorf("wait for the request: %w", err)
	}
	if !report.Status.Final() && !report.Rests() {
		c.Header().Set("Retry-After", "1")
	}
	return report, nil
}

// statusOf is 202 for a request that goes on.
func statusOf(r *request.View) int {
	if r.Status.Final() {
		return http.StatusOK
	}
	return http.StatusAccepted
}

func newUserBody(u userSync, known user.Stored, report *request.View) userBody {
	body := userBody{
		Success: succeeded(report), DryRun: u.dryRun, Platforms: newPlatformBodies(report),
		User: shownUser{known.ID, known.Email, cmp.Or(u.firstName, known.FirstName), known.LastName},
	}
	if !report.Status.Final() {
		body.RequestID = report.RequestID
	}
	return body
}

// succeeded reports whether nothing has failed.
func succeeded(r *request.View) bool {
	for _, s := range r.Steps {
		if s.Status == request.StepFailed {
			return false
		}
	}
	return r.Status != request.Failed
}

func newPlatformBodies(r *request.View) []platformBody {
	out := []platformBody{}
	for _, s := range r.Steps {
		if s.Name == request.StepPlatform && s.Platform != "" {
			out = append(out, newPlatformBody(s))
		}
	}
	return out
}

// newPlatformBody converts a step to the words of the dialect.
func newPlatformBody(s request.StepView) platformBody {
	p := platformBody{Name: s.Platform, Status: s.Status, Details: s.Details}
	switch s.Status {
	case request.StepFailed:
		p.Details = failureDetails(s)
	case request.StepRetrying:
		p.Status, p.Details = request.StepPending, retryDetails(s)
	case request.StepPending:
		p.Details = cmp.Or(s.Details, "Waiting for the platform")
	case request.StepSkipped:
		p.Details = cmp.Or(s.Details, skipDetails(s.Reason))
	case request.StepUnchanged:
		p.Details = cmp.Or(s.Details, "The platform already has exactly this")
	}
	return p
}

// failureDetails says why a push failed, whose fault it is and what to do.
func failureDetails(s request.StepView) string {
	if s.Error == nil {
		return cmp.Or(s.Details, "The push failed")
	}
	return s.Error.Message + " (" + faultOf(s.Error.Owner) + ": " + s.Error.Hint + ")"
}

func faultOf(o usersync.Owner) string {
	switch o {
	case usersync.OwnerYou:
		return "you can fix this"
	case usersync.OwnerPlatform:
		return "caused by the platform"
	}
	return "caused by this service"
}

// retryDetails says why a push has not come through and when it is tried again.
func retryDetails(s request.StepView) string {
	why := "The platform could not take it"
	if s.Error != nil {
		why = s.Error.Message
	}
	if s.NextAttemptAt.IsZero() {
		return why + " It is tried again."
	}
	return why + " It is tried again at " + s.NextAttemptAt.UTC().Format(time.RFC3339) + "."
}

func skipDetails(reason string) string {
	switch reason {
	case platform.ReasonConnectionPaused:
		return "The connection is paused"
	case platform.ReasonConnectionDisconnected:
		return "The platform refuses the connection's credentials"
	case platform.ReasonConnectionDeleted:
		return "The connection was deleted"
	case usersync.ReasonUnsubscribed:
		return "The user has unsubscribed there"
	case platform.ReasonErased:
		return "The user was erased"
	}
	return "Skipped: " + reason
}
