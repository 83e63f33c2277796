package marketing

import (
	"cmp"
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

// maxEmail bounds an address in characters: more than any is long.
const maxEmail = 512

var errNoUser = usersync.Errorf(usersync.CodeNotFound, "User not found with the specified email")

// userSync is what a call about one user asks for.
type userSync struct {
	email     usersync.Email
	dryRun    bool
	firstName string
}

func (u *userSync) parameters(email *string) []parameter {
	return []parameter{text("email", email, maxEmail), flag("dryRun", &u.dryRun), text("first_name", &u.firstName, maxName)}
}

// check returns what the parameters ask for.
func (u *userSync) check(t *taken, email string) error {
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

// userAnswer is the answer of the contract: its fields in its order. RequestID
// is ours and only there while the work goes on.
type userAnswer struct {
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

// syncUser is POST /api/marketing/sync-user, and with dryRun true by itself
// /api/test/sync-user.
func syncUser(dryRun bool) func(*api.Call) error {
	return func(c *api.Call) error {
		u, email := userSync{dryRun: dryRun}, ""
		t, err := take(c, u.parameters(&email))
		if err != nil {
			return err
		}
		if err := u.check(t, email); err != nil {
			return err
		}
		return u.run(c)
	}
}

func (u userSync) run(c *api.Call) error {
	users, err := user.ByEmail(c.Context(), c.Caller.Org, u.email)
	if err != nil {
		return err
	}
	if len(users) == 0 {
		return errNoUser
	}
	known := users[0]
	item, err := c.Asking(request.KindPlatformSync, known.ID, u.email, usersync.PlatformSync{DryRun: u.dryRun, FirstName: u.firstName})
	if err != nil {
		return err
	}
	sub, err := c.Submit([]*intake.Acceptance{item}, nil)
	if err != nil {
		return err
	}
	id := sub.Accepted[0].RequestID
	c.Header().Set("Location", "/v1/requests/"+id)
	report, err := c.Await(id, awaited)
	if err != nil {
		return err
	}
	a := userAnswer{
		Success: succeeded(report), DryRun: u.dryRun, Platforms: platforms(report),
		User: shownUser{known.ID, known.Email, cmp.Or(u.firstName, known.FirstName), known.LastName},
	}
	if report.Status.Final() {
		return c.JSON(http.StatusOK, a)
	}
	a.RequestID = id
	c.Header().Set("Retry-After", "1")
	return c.JSON(http.StatusAccepted, a)
}

// succeeded is false when anything has failed.
func succeeded(r *request.View) bool {
	for _, s := range r.Steps {
		if s.Status == request.StepFailed {
			return false
		}
	}
	return r.Status != request.Failed
}

func platforms(r *request.View) []platformBody {
	out := []platformBody{}
	for _, s := range r.Steps {
		if s.Name == request.StepPlatform && s.Platform != "" {
			out = append(out, platformOf(s))
		}
	}
	return out
}

// platformOf shows a step in the dialect's words.
func platformOf(s request.StepView) platformBody {
	p := platformBody{Name: s.Platform, Status: s.Status, Details: s.Details}
	switch s.Status {
	case request.StepFailed:
		p.Details = failed(s)
	case request.StepRetrying:
		p.Status, p.Details = request.StepPending, retrying(s)
	case request.StepPending:
		p.Details = cmp.Or(s.Details, "Waiting for the platform")
	case request.StepSkipped:
		p.Details = cmp.Or(s.Details, skipped(s.Reason))
	case request.StepUnchanged:
		p.Details = cmp.Or(s.Details, "The platform already has exactly this")
	}
	return p
}

// failed says why, whose fault it is and what to do.
func failed(s request.StepView) string {
	if s.Error == nil {
		return cmp.Or(s.Details, "The push failed")
	}
	return s.Error.Message + " (" + faultOf(s.Error.Owner) + ": " + s.Error.Hint + ")"
}

func faultOf(o usersync.Owner) string {
	switch o {
	case usersync.OwnerYou:
		return "yours to mend"
	case usersync.OwnerPlatform:
		return "the platform's doing"
	}
	return "our fault"
}

// retrying says why a push has not come through and when it is tried again.
func retrying(s request.StepView) string {
	why := "The platform could not take it"
	if s.Error != nil {
		why = s.Error.Message
	}
	if s.NextAttemptAt.IsZero() {
		return why + " It is tried again."
	}
	return why + " It is tried again at " + s.NextAttemptAt.UTC().Format(time.RFC3339) + "."
}

func skipped(reason string) string {
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
