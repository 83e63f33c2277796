package tenant

import (
	"context"
	"encoding/json"
	"fmt"

	"usersync/internal/store"
	"usersync/internal/usersync"
)

// Limits bound how much an organization may have of what it makes itself. 0 is the
// default. The operator sets them.
type Limits struct {
	// WebhookEndpoints is how many endpoints there may be, enabled or not.
	WebhookEndpoints int `json:"webhookEndpoints,omitempty"`
	// Connections is how many connections there may be, paused or not.
	Connections int `json:"connections,omitempty"`
	// Imports is how many files may be uploaded and not yet worked.
	Imports int `json:"imports,omitempty"`
	// UnfinishedDeliveries is how many deliveries may wait for one endpoint. One with
	// more is disabled, and its deliveries fail: they can be recovered.
	UnfinishedDeliveries int `json:"unfinishedDeliveries,omitempty"`
	// FollowUps is how many follow-ups there may be, paused or not.
	FollowUps int `json:"followUps,omitempty"`
}

// DefaultLimits hold where an organization has none of its own.
var DefaultLimits = Limits{WebhookEndpoints: 50, Connections: 50, Imports: 20, UnfinishedDeliveries: 100_000, FollowUps: 1000}

// OrDefault fills what is not set.
func (l Limits) OrDefault() Limits {
	for _, one := range []struct {
		to   *int
		from int
	}{
		{&l.WebhookEndpoints, DefaultLimits.WebhookEndpoints},
		{&l.Connections, DefaultLimits.Connections},
		{&l.Imports, DefaultLimits.Imports},
		{&l.UnfinishedDeliveries, DefaultLimits.UnfinishedDeliveries},
		{&l.FollowUps, DefaultLimits.FollowUps},
	} {
		if *one.to <= 0 {
			*one.to = one.from
		}
	}
	return l
}

var limitsStatement = store.Define("tenant.limits", `SELECT settings FROM organizations WHERE id = $1 {for update}`)

// Count says how many of something an organization has, and which limit holds.
type Count struct {
	// Of counts them: $1 is the organization.
	Of *store.Statement
	// Limit is the limit that holds, and Setting its name in settings.limits.
	Limit   func(Limits) int
	Setting string
	// Noun names them in the plural.
	Noun string
}

// MakeRoom returns a conflict where an organization has as many of something as it may
// have. It locks the organization, so that two who add one do not both find room.
func MakeRoom(ctx context.Context, tx *store.Tx, organization string, c Count) error {
	var text string
	if err := tx.QueryRow(ctx, limitsStatement, organization).Scan(&text); err != nil {
		return fmt.Errorf("read the limits of the organization: %w", store.Classify(err))
	}
	var settings struct {
		Limits Limits `json:"limits"`
	}
	if err := json.Unmarshal([]byte(text), &settings); err != nil {
		return fmt.Errorf("decode the limits of the organization: %w", err)
	}
	var n int
	if err := tx.QueryRow(ctx, c.Of, organization).Scan(&n); err != nil {
		return fmt.Errorf("count the %s: %w", c.Noun, store.Classify(err))
	}
	if most := c.Limit(settings.Limits.OrDefault()); n >= most {
		return usersync.Errorf(usersync.CodeConflict, "There are %d %s already, and %d are allowed. Remove one, or ask the operator to raise limits.%s.", n, c.Noun, most, c.Setting)
	}
	return nil
}
