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
	return collect(ctx, o.reader(), destinationsStatement, nil, scanDestination, o.ID())
}

var settingStatement = define(`
SELECT o.ID(), o.name, o.status, o.salt, o.default_invite_link, o.default_redirection_link, o.client_group_code, o.client_code, o.paper_code,
    o.settings, o.secrets, o.created_at, o.updated_at,
    coalesce(c.id, ''), coalesce(c.platform, ''), coalesce(c.name, ''), coalesce(c.status, ''), coalesce(c.reason, ''), coalesce(c.settings, '')
FROM organizations o LEFT JOIN connections c ON c.organization_id = o.ID() AND c.status <> 'deleted'
WHERE o.ID() = $1 ORDER BY c.id`)

// Setting returns what a run needs to know of an organization: Organization and
// Destinations in one way to the database.
func (s *Store) Setting(ctx context.Context, id string) (o usersync.Organization, connections []usersync.Connection, err error) {
	var row organizationRow
	found, err := collect(ctx, s.reader(), settingStatement, nil, func(scan func(...any) error) (c usersync.Connection, err error) {
		var settings string
		err = scan(&row.ID, &row.Name, &row.Status, &row.Salt, &row.DefaultInviteLink, &row.DefaultRedirectionLink, &row.ClientGroupCode,
			&row.ClientCode, &row.PaperCode, &row.Settings, &row.Secrets, &row.CreatedAt, &row.UpdatedAt,
			&c.ID, &c.Platform, &c.Name, &c.Status, &c.Reason, &settings)
		c.Settings = []byte(settings)
		return c, err
	}, id)
	switch {
	case err != nil:
		return o, nil, err
	case len(found) == 0:
		return o, nil, ErrNoOrganization
	case found[0].ID == "": // no connection
		found = nil
	}
	o, err = s.organization(row)
	return o, found, err
}

func scanDestination(scan func(...any) error) (c usersync.Connection, err error) {
	var settings string
	err = scan(&c.ID, &c.Platform, &c.Name, &c.Status, &c.Reason, &settings)
	c.Settings = []byte(settings)
	return c, err
}
