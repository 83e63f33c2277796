package store

import (
	"context"

	"usersync/internal/usersync"
)

var destinationsStatement = define(`
SELECT id, platform, name, status, reason, settings FROM connections
WHERE organization_id = $1 AND status <> 'deleted' ORDER BY id`)

// Destinations returns all connections of the organization, oldest first,
// without what is secret about them.
func (o *Org) Destinations(ctx context.Context) ([]usersync.Connection, error) {
	return collect(ctx, o.store.reader(), destinationsStatement, nil, scanDestination, o.id)
}

func scanDestination(scan func(...any) error) (c usersync.Connection, err error) {
	var settings string
	err = scan(&c.ID, &c.Platform, &c.Name, &c.Status, &c.Reason, &settings)
	c.Settings = []byte(settings)
	return c, err
}
