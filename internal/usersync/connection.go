package usersync

import (
	"encoding/json"
	"time"
)

// Connection is one account at one platform, with credentials and settings.
type Connection struct {
	ID       string `json:"id"`
	Platform string `json:"platform"` // the connector's name
	Name     string `json:"name"`
	Status   string `json:"status"` // active, paused or disconnected
	// Reason says why it is disconnected, in the platform's words.
	Reason string `json:"reason,omitempty"`
	// Settings are the connector's own, as JSON.
	Settings  json.RawMessage `json:"settings"`
	CreatedAt Time            `json:"createdAt"`
	UpdatedAt Time            `json:"updatedAt"`
	// CheckedAt is when the platform last took the credentials.
	CheckedAt Time `json:"checkedAt,omitzero"`
	// Credentials are the connector's own, as JSON.
	Credentials Secret `json:"-"`
	// Facts is what the last check learnt of the account, as JSON.
	Facts json.RawMessage `json:"-"`
	// Organization owns it.
	Organization string `json:"-"`
}

// Statuses of a connection.
const (
	ConnectionActive = "active"
	ConnectionPaused = "paused" // by its owner
	// ConnectionDisconnected is set when the platform refuses the credentials.
	ConnectionDisconnected = "disconnected"
	// ConnectionDeleted hides a connection whose rows are still being removed.
	ConnectionDeleted = "deleted"
)

// Reasons a platform step was skipped.
const (
	ReasonConnectionPaused       = "connection_paused"
	ReasonConnectionDisconnected = "connection_disconnected"
	ReasonConnectionDeleted      = "connection_deleted"
	ReasonErased                 = "erased"
)

// ReasonUnsubscribed is why a platform skips a person who has unsubscribed there.
const ReasonUnsubscribed = "unsubscribed"

// SkipReason says why nothing is pushed to a connection of this status; "" for
// an active one.
func SkipReason(connectionStatus string) string {
	switch connectionStatus {
	case ConnectionActive:
		return ""
	case ConnectionPaused:
		return ReasonConnectionPaused
	case ConnectionDisconnected:
		return ReasonConnectionDisconnected
	}
	return ReasonConnectionDeleted
}

// Disconnected is what a connection.disconnected message tells.
type Disconnected struct {
	ConnectionID string `json:"connectionId"`
	Platform     string `json:"platform"`
	Name         string `json:"name"`
	Reason       string `json:"reason"`
	At           Time   `json:"disconnectedAt"`
}

// PushMode says what a platform step wants of its connection.
type PushMode string

// The modes of a push.
const (
	// PushState has the platform end in the user's newest state: pushes of this
	// mode coalesce.
	PushState PushMode = "state"
	// PushOnce pushes the user with what the request overrides, never coalesced.
	PushOnce PushMode = "once"
	// PushPreview changes nothing: a dry run.
	PushPreview PushMode = "preview"
)

// Ranks of pushes at one connection: what somebody waits for goes first.
const (
	RankOnDemand = 0 // a person looks at the answer
	RankOrdinary = 1
	RankBulk     = 2
)

// PlatformSync is the input of a request of KindPlatformSync, and of each user
// of a KindPlatformBulk: what is different from an ordinary push.
type PlatformSync struct {
	DryRun bool `json:"dryRun,omitempty"`
	// Force pushes also what the platform is known to have.
	Force bool `json:"force,omitempty"`
	// FirstName overrides the stored value for this push.
	FirstName string `json:"firstName,omitempty"`
	// List and Tags override the connection's own: the list in its place, the
	// tags beside its own.
	List string   `json:"list,omitempty"`
	Tags []string `json:"tags,omitempty"`
}

// Mode says how such a push is made.
func (in PlatformSync) Mode() PushMode {
	switch {
	case in.DryRun:
		return PushPreview
	case in.Force || in.FirstName != "" || in.List != "" || len(in.Tags) > 0:
		return PushOnce
	}
	return PushState
}

// PlatformBulk is the input of a request of KindPlatformBulk.
type PlatformBulk struct {
	PlatformSync
	// Connection is the one that is synced.
	Connection string `json:"connection"`
	// UserIDs names the users; none means all, or the active ones.
	UserIDs []string `json:"userIds,omitempty"`
	// ActiveSince leaves out users that were last told of before; zero takes all.
	ActiveSince Time `json:"activeSince,omitzero"`
	// AudienceName asks for an audience to be made first, with what it is for.
	AudienceName        string `json:"audienceName,omitempty"`
	AudienceDescription string `json:"audienceDescription,omitempty"`
}

// Progress is how far a bulk has come.
type Progress struct {
	// Planned says that Total is final: every user has been counted.
	Planned bool  `json:"-"`
	Total   int64 `json:"total"`
	Done    int64 `json:"done"`
	// Of those done:
	Added     int64 `json:"added"`
	Updated   int64 `json:"updated"`
	Unchanged int64 `json:"unchanged"`
	Removed   int64 `json:"removed"`
	Skipped   int64 `json:"skipped"`
	Errors    int64 `json:"errors"`
	// PerSecond is the rate since it began, ETA when it will be done at that rate.
	PerSecond float64 `json:"perSecond"`
	ETA       Time    `json:"eta,omitzero"`
	// AudienceID names the audience that was made.
	AudienceID string `json:"audienceId,omitempty"`
}

// pushSchedule holds the waits after failed attempts of a platform step: 5 s,
// 30 s, 2 min, 10 min, 1 h, then hourly (contract user-sync.md).
var pushSchedule = []time.Duration{5 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute, time.Hour}

// PushFor is how long after acceptance a platform step is tried.
const PushFor = 24 * time.Hour

// PushWait returns how long to wait after the given number of failed attempts,
// without jitter.
func PushWait(attempts int) time.Duration {
	return pushSchedule[min(max(attempts, 1), len(pushSchedule))-1]
}
