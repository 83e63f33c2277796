package usersync

// EventType says what happened to a user.
type EventType string

// The events that we write ourselves.
const (
	EventUserCreated EventType = "user.created" // attributes: fields, the names of what was said
	EventUserUpdated EventType = "user.updated" // attributes: fields, the names of what has a new value
	EventUserErased  EventType = "user.erased"
)

// Event is something that happened to a user.
type Event struct {
	ID   string    `json:"id"`
	Type EventType `json:"type"`
	// Source is who or what it came from: the kind of a request, or the id of a key.
	Source string `json:"source"`
	// UserID is "" when nobody that is known was meant.
	UserID string `json:"userId"`
	// Cause is the id of what led to it: a request, an erasure.
	Cause      string         `json:"cause"`
	Attributes map[string]any `json:"attributes"`
	CreatedAt  Time           `json:"createdAt"`
}
