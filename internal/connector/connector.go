// Package connector says what a platform is: how the code that speaks to one
// looks, what it is told and what it answers. The pipeline decides when to push;
// a connector knows how.
package connector

import (
	"context"

	"usersync/internal/outbound"
	"usersync/internal/usersync"
)

// Connector speaks to one account at one platform. Everything it does goes
// through its Client. It is safe for concurrent use.
//
// Errors are *usersync.Error: disconnected when the platform refuses the
// credentials or the settings name what is not there; rate_limited with
// RetryAfter; unavailable when nobody knows how the call ended or the platform
// is down; rejected when the platform refuses the content of the call and will
// again. Their messages quote no secret and no address, see Quote.
type Connector interface {
	// Check tries credentials and settings without changing anything.
	Check(ctx context.Context) (Facts, error)
	// Content is what the platform would be told of a person, as plain data: two
	// profiles of equal content need only one push.
	Content(p Profile) any
	// Push brings people in: added or updated, never subscribed again when they
	// left. It takes up to Kind.Batch profiles of different people and returns one
	// result for each, in their order. An error means that none is known to have
	// arrived: rejected has the batch halved until the guilty one stands alone.
	// Results may come beside an error; then only those with a Status count.
	Push(ctx context.Context, people []Profile) ([]Result, error)
	// Preview says what Push would do. It changes nothing; it may read.
	Preview(ctx context.Context, p Profile) (Result, error)
	// Remove erases a person there. That nobody is there is a success too.
	Remove(ctx context.Context, p Profile) (Result, error)
}

// Confirmer is a connector whose platform takes a push and works on it later:
// its results are Pending with a Job.
type Confirmer interface {
	// Confirm asks how a job went that was made of these people, in the order of
	// the answer. While it is not known, all are Pending. ErrNoJob says that the
	// platform does not know the job: not yet, or no more.
	Confirm(ctx context.Context, job string, people []Profile) ([]Result, error)
}

// ErrNoJob is the answer to a question for a job that the platform does not know.
var ErrNoJob = usersync.Errorf(usersync.CodeUnavailable, "The platform does not know what became of the push.")

// AudienceMaker is a connector that can make a list, or what the platform has in
// its place.
type AudienceMaker interface {
	// MakeAudience makes it, or finds the one with that name, and returns what to
	// push to: its id and how a push names it.
	MakeAudience(ctx context.Context, name, description string) (id string, patch usersync.PlatformSync, err error)
}

// Profile is a person as a platform is to know them.
type Profile struct {
	UserID    string
	Email     usersync.Email
	FirstName string
	LastName  string
	Name      string // the full name
	Country   string // ISO 3166-1 alpha-2
	JobTitle  string
	// InviteLink is the person's own.
	InviteLink string
	// Attributes are strings, numbers (float64) and booleans.
	Attributes map[string]any
	// Remote is what the last Result about this person gave to keep.
	Remote string
}

// ProfileOf returns the profile of a user.
func ProfileOf(id string, in usersync.UserInput, remote string) Profile {
	return Profile{
		UserID: id, Email: in.Email, FirstName: in.FirstName, LastName: in.LastName, Name: in.FullName(), Country: in.Country,
		JobTitle: in.JobTitle, InviteLink: in.InviteLink, Attributes: in.Attributes, Remote: remote,
	}
}

// Response is the answer to a call.
type Response = outbound.Response

// Status says what became of a person at a platform.
type Status string

// The statuses of a result.
const (
	Added   Status = "added"
	Updated Status = "updated"
	// Synced is Added or Updated where the platform does not tell which.
	Synced  Status = "synced"
	Pending Status = "pending" // the platform works on Job
	Skipped Status = "skipped" // for Reason, such as usersync.ReasonUnsubscribed
	Failed  Status = "failed"  // for Err; trying again unchanged is of no use
	Removed Status = "removed"
)

// Result is what became of one person. After a preview it is what would become.
type Result struct {
	Status Status
	// Details is one sentence about the person as "User", for people to read:
	// "User added to the 'active-clients' list", "User would be added to …". It
	// names the list and the tags and quotes no address.
	Details string
	Reason  string          // of Skipped
	Err     *usersync.Error // of Failed
	Job     string          // of Pending
	// Remote is to be kept, up to 500 bytes, and comes back in the next Profile of
	// this person: the platform's id, say.
	Remote string
}

// Facts are what a check learns of an account.
type Facts struct {
	// Account names the account that the platform counts calls for, so that two
	// connections to one account share its limits. It is no secret; where the
	// platform tells none, Fingerprint of the credential.
	Account string `json:"account"`
	// Labels are names by id that sentences use or pushes need: "list:8d…" →
	// "active-clients", "field:company" → "w12".
	Labels map[string]string `json:"labels,omitempty"`
}
