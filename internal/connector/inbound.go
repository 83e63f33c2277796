package connector

import (
	"encoding/json"
	"net/http"
	"time"

	"usersync/internal/usersync"
)

// Inbound is how a platform tells of people by webhooks.
type Inbound struct {
	// Key is the credential that calls are verified with. It is "" where the platform
	// signs nothing and the secret address is all that proves a call.
	Key string
	// KeyOptional says that calls are taken without the key, where the connection has none.
	KeyOptional bool
	// Help says in a sentence how the owner has the platform call.
	Help string
	// Read verifies a call by the platform's own scheme and returns what it tells. A call
	// that does not pass has an error of the code unauthorized, and one that makes no sense
	// of the code invalid. What is of no concern here, such as an opened message, is left out.
	Read func(Config, InboundCall) ([]Signal, error)
}

// InboundCall is one call of a platform.
type InboundCall struct {
	Method string
	// URLs are the addresses that the platform may have called: what stands before this
	// service may have changed scheme and host.
	URLs   []string
	Header http.Header
	Body   []byte
	// At is when the call came.
	At time.Time
}

// Signal is what a platform tells of one person.
type Signal struct {
	// Email, UserID and Remote say who it is: an address, our id, or the platform's id of
	// the person. One of them is enough.
	Email  string
	UserID string
	Remote string
	// Channel and Status are what the person wants now.
	Channel usersync.Channel
	Status  usersync.ConsentStatus
	// Reason is the platform's word for why: "spam".
	Reason string
	// At is when it happened.
	At time.Time
}

// Receive verifies and reads a call for a connection of the platform.
func (k Platform) Receive(cfg Config, call InboundCall) ([]Signal, error) {
	if k.Inbound == nil {
		return nil, usersync.Errorf(usersync.CodeNotFound, "%s does not call.", k.Title)
	}
	if k.Inbound.Key != "" && !k.Inbound.KeyOptional && !k.Keyed(cfg) {
		return nil, usersync.Errorf(usersync.CodeUnauthorized, "The call cannot be verified: the connection has no %s.", k.Inbound.Key)
	}
	return k.Inbound.Read(cfg, call)
}

// Keyed reports whether a connection has the credential that calls are verified with.
func (k Platform) Keyed(cfg Config) bool {
	values := map[string]json.RawMessage{}
	if k.Inbound == nil || len(cfg.Credentials) == 0 || json.Unmarshal(cfg.Credentials, &values) != nil {
		return false
	}
	value := string(values[k.Inbound.Key])
	return value != "" && value != `""` && value != "null"
}
