// Package connector defines what a platform is to this service: the interface of the
// code that speaks to one, what that code is told, and what it answers. The pipeline
// decides when to push. A connector decides how.
package connector

import (
	"context"
	"strings"

	"usersync/internal/outbound"
	"usersync/internal/usersync"
)

// Connector speaks to one account at one platform. Everything it does goes
// through its Client. It is safe for concurrent use.
//
// Errors are *usersync.Error of one of four codes. An error is disconnected when the
// platform refuses the credentials, or the settings name something that it does not
// have. It is rate_limited, with RetryAfter, when there were too many calls. It is
// unavailable when the platform is down or nobody knows how the call ended. It is
// rejected when the platform refuses the content of the call and will refuse it
// again. Messages quote no secret and no address, see Quote.
type Connector interface {
	// Check tries credentials and settings and changes nothing.
	Check(ctx context.Context) (Facts, error)
	// Content is what the platform would be told of a person, as plain data. Two
	// profiles of equal content need only one push.
	Content(p Profile) any
	// Push adds or updates people. It never subscribes people again who have left. It
	// takes up to Platform.Batch profiles of different people and returns one result
	// for each, in their order. An error means that nobody is known to have arrived.
	// After the error rejected, the caller halves the batch until the guilty person
	// is alone. If results come beside an error, only those with a Status count. Of the
	// others Remote is kept if it is set: what was learnt before the error stays learnt.
	Push(ctx context.Context, people []Profile) ([]Result, error)
	// Preview says what Push would do. It may read, but it changes nothing.
	Preview(ctx context.Context, p Profile) (Result, error)
	// Remove erases a person at the platform. If nobody is there, that is a success too.
	Remove(ctx context.Context, p Profile) (Result, error)
}

// Confirmer is a connector whose platform takes a push and works on it later. The
// results of such a push are Pending and have a Job.
type Confirmer interface {
	// Confirm asks how a job of these people went. It returns their results in their
	// order. All are Pending while the outcome is not known. ErrNoJob means that the
	// platform does not know the job yet, or has forgotten it.
	Confirm(ctx context.Context, job string, people []Profile) ([]Result, error)
}

// ErrNoJob is the error of Confirm for a job that the platform does not know.
var ErrNoJob = usersync.Errorf(usersync.CodeUnavailable, "The platform does not know what became of the push.")

// AudienceMaker is a connector that can make a list, or whatever the platform has
// instead of lists.
type AudienceMaker interface {
	// CheckAudience refuses a name that MakeAudience would refuse. It may read, and it
	// changes nothing.
	CheckAudience(ctx context.Context, name string) error
	// MakeAudience finds the audience with a name, or makes it. It returns the id, and
	// the patch that makes a push name the audience.
	MakeAudience(ctx context.Context, name, description string) (id string, patch usersync.PlatformSync, err error)
}

// CheckName refuses the name of an audience that has no letters.
func CheckName(name string) error {
	if strings.TrimSpace(name) == "" {
		return usersync.Errorf(usersync.CodeInvalid, "The audience needs a name.")
	}
	return nil
}

// Profile is what may be sent to a platform about a person.
type Profile struct {
	UserID    string
	Email     usersync.Email
	FirstName string
	LastName  string
	Name      string // the full name
	Country   string // ISO 3166-1 alpha-2
	JobTitle  string
	// InviteLink is the link by which this person invites others.
	InviteLink string
	// Attributes are strings, numbers (json.Number, which keeps their digits), booleans and
	// lists of strings ([]any). A date is a string.
	Attributes map[string]any
	// Cleared names the fields that hold nothing because the caller said so. The platform
	// is to hold nothing there either.
	Cleared []usersync.Field
	// Remote is the Remote of the last Result about this person.
	Remote string
	// Consents are what is known of the person's wishes, see Unsubscriber and Subscriber.
	Consents usersync.Consents
}

// ProfileOf returns the profile of a user.
func ProfileOf(id string, in usersync.UserInput, remote string) Profile {
	return Profile{
		UserID: id, Email: in.Email, FirstName: in.FirstName, LastName: in.LastName, Name: in.FullName(), Country: in.Country,
		JobTitle: in.JobTitle, InviteLink: in.InviteLink, Attributes: in.Attributes, Cleared: in.Cleared, Remote: remote,
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
	// Synced means Added or Updated, on platforms that do not tell which.
	Synced  Status = "synced"
	Pending Status = "pending" // the platform works on Job
	Skipped Status = "skipped" // for Reason, such as usersync.ReasonUnsubscribed
	Failed  Status = "failed"  // for Err; an unchanged repetition would fail too
	Removed Status = "removed"
)

// Result is what became of one person. The Result of a preview is what would become
// of them.
type Result struct {
	Status Status
	// Details is one sentence for people to read: "User added to the 'active-clients'
	// list", "User would be added to …". It names the list and the tags, and quotes no
	// address. The file sentence.go words it.
	Details string
	Reason  string          // of Skipped
	Err     *usersync.Error // of Failed
	Job     string          // of Pending
	// Remote is stored, and comes back in the next Profile of this person. It is the
	// platform's id, for example, and has up to MaxName bytes.
	Remote string
}

// Facts are what a check learns of an account.
type Facts struct {
	// Account names the account that the platform counts calls for, so that two
	// connections of an organization to one account share its limits. It is no secret.
	// If the platform names no account, it is the Fingerprint of the credential.
	Account string `json:"account"`
	// Labels are what sentences and pushes need to know of the account, by kind and id:
	// "list:8d…" → "active-clients", "field:company" → "w12".
	Labels map[string]string `json:"labels,omitempty"`
}
