package usersync

// ReasonUnsubscribed is why a platform skips a person who has unsubscribed there.
const ReasonUnsubscribed = "unsubscribed"

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
	// PushAbsence has the person be taken off the platform. It coalesces with PushState:
	// the newest wish counts.
	PushAbsence PushMode = "absence"
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
	// Remove takes the user off List and takes Tags away, in place of a push. Where
	// neither is given, the user leaves the connection's own list.
	Remove bool `json:"remove,omitempty"`
	// Platform leaves out connections to other platforms; "" takes all.
	Platform string `json:"platform,omitempty"`
	// Connections are the ids of those that are meant; none for all.
	Connections []string `json:"connections,omitempty"`
	// Absent has the user be taken off the platforms instead.
	Absent bool `json:"absent,omitempty"`
}

// Mode says how such a push is made.
func (in PlatformSync) Mode() PushMode {
	switch {
	case in.Absent:
		return PushAbsence
	case in.DryRun:
		return PushPreview
	case in.Force || in.Remove || in.FirstName != "" || in.List != "" || len(in.Tags) > 0:
		return PushOnce
	}
	return PushState
}
