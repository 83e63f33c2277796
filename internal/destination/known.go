package destination

import (
	"context"
	"sync"

	lru "github.com/hashicorp/golang-lru/v2"

	"usersync/internal/platform"
	"usersync/internal/store"
	"usersync/internal/tenant"
)

// maxKnown is how many organizations a process keeps in mind: some kilobytes each.
const maxKnown = 10_000

// Known keeps organizations with their connections in mind, those that
// were asked for last. The zero value is ready for use, by several goroutines.
type Known struct {
	made  sync.Once
	known *lru.Cache[string, knownOrganization]
}

// knownOrganization is an organization as it was in one version.
type knownOrganization struct {
	version      string
	organization tenant.Organization
	connections  []platform.Connection
}

// Get returns an organization and its connections as Load
// does, without asking the database when they are known in this version. With "" they
// are loaded. What is returned is shared and must not be changed.
func (k *Known) Get(ctx context.Context, s *store.Store, id, version string) (tenant.Organization, []platform.Connection, error) {
	k.made.Do(func() { k.known, _ = lru.New[string, knownOrganization](maxKnown) }) // New fails only for a bound below 1.
	if one, ok := k.known.Get(id); ok && version != "" && one.version == version {
		return one.organization, one.connections, nil
	}
	o, connections, version, err := Load(ctx, s, id)
	if err != nil {
		return o, nil, err
	}
	k.known.Add(id, knownOrganization{version, o, connections})
	return o, connections, nil
}
