// Package destination knows an organization together with its connections, as a run needs
// them.
package destination

import (
	"context"
	"database/sql"
	"errors"

	"usersync/internal/platform"
	"usersync/internal/store"
	"usersync/internal/tenant"
)

var destinationsStatement = store.Define("destination.destinations", `
SELECT id, platform, name, status, reason, settings FROM connections
WHERE organization_id = $1 AND status <> 'deleted' ORDER BY id`)

// List returns all connections of the organization, oldest first,
// without what is secret about them.
func List(ctx context.Context, o *store.Org) ([]platform.Connection, error) {
	return store.Collect(ctx, o.Reader(), destinationsStatement, nil, scanDestination, o.ID())
}

// VersionText is an expression of SQL for the version of an organization o and its
// connections: another text whenever Load would return
// something else. Each connection is named, since a count and the last time of change
// stay the same when an older one is changed by a clock that lags behind. Nothing is
// missed within a microsecond: see tenant.NextChange.
const VersionText = `o.updated_at || ' ' || coalesce((SELECT string_agg(v.id || ':' || v.updated_at, ' ' ORDER BY v.id)
        FROM connections v WHERE v.organization_id = o.id AND v.status <> 'deleted'), '')`

var versionStatement = store.Define("destination.version", `SELECT `+VersionText+` FROM organizations o WHERE o.id = $1`)

// Version returns the version of an organization and its connections, see VersionText,
// "" for an id that names none.
func Version(ctx context.Context, s *store.Store, id string) (version string, err error) {
	err = s.Reader().QueryRow(ctx, versionStatement, id).Scan(&version)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return version, store.Classify(err)
}

var settingStatement = store.Define("destination.setting", `
SELECT o.id, o.name, o.status, o.salt, o.default_invite_link, o.default_redirection_link, o.client_group_code, o.client_code, o.paper_code,
    o.settings, o.secrets, o.created_at, o.updated_at,
    coalesce(c.id, ''), coalesce(c.platform, ''), coalesce(c.name, ''), coalesce(c.status, ''), coalesce(c.reason, ''), coalesce(c.settings, ''),
    `+VersionText+`
FROM organizations o LEFT JOIN connections c ON c.organization_id = o.id AND c.status <> 'deleted'
WHERE o.id = $1 ORDER BY c.id`)

// Load returns an organization and its connections, as
// List does, and their version, with one statement.
func Load(ctx context.Context, s *store.Store, id string) (o tenant.Organization, connections []platform.Connection, version string, err error) {
	var row tenant.OrganizationRow
	found, err := store.Collect(ctx, s.Reader(), settingStatement, nil, func(scan func(...any) error) (c platform.Connection, err error) {
		var settings string
		err = scan(&row.ID, &row.Name, &row.Status, &row.Salt, &row.DefaultInviteLink, &row.DefaultRedirectionLink, &row.ClientGroupCode,
			&row.ClientCode, &row.PaperCode, &row.Settings, &row.Secrets, &row.CreatedAt, &row.UpdatedAt,
			&c.ID, &c.Platform, &c.Name, &c.Status, &c.Reason, &settings, &version)
		c.Settings = []byte(settings)
		return c, err
	}, id)
	switch {
	case err != nil:
		return o, nil, "", err
	case len(found) == 0:
		return o, nil, "", tenant.ErrNotFound
	case found[0].ID == "": // no connection
		found = nil
	}
	o, err = row.Organization(s)
	return o, found, version, err
}

func scanDestination(scan func(...any) error) (c platform.Connection, err error) {
	var settings string
	err = scan(&c.ID, &c.Platform, &c.Name, &c.Status, &c.Reason, &settings)
	c.Settings = []byte(settings)
	return c, err
}
