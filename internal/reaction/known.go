package reaction

import (
	"context"
	"fmt"
	"sync"

	lru "github.com/hashicorp/golang-lru/v2"

	"usersync/internal/followup"
	"usersync/internal/followup/catalog"
	"usersync/internal/store"
)

// maxKnown is how many organizations a process keeps the follow-ups of in mind.
const maxKnown = 1000

// Known keeps the active follow-ups of organizations in mind, of those that were asked for
// last. The zero value is ready for use, by several goroutines.
type Known struct {
	made  sync.Once
	known *lru.Cache[string, knownFollowUps]
}

// knownFollowUps are the active follow-ups of an organization as they were in a version.
type knownFollowUps struct {
	version int64
	active  map[followup.EventType][]catalog.Entry
}

// Get returns the active follow-ups of an organization in a version, see
// catalog.VersionText. Version 0 has none. What is returned is shared and must not be
// changed.
func (k *Known) Get(ctx context.Context, s *store.Store, organization string, version int64) (map[followup.EventType][]catalog.Entry, error) {
	if version == 0 {
		return nil, nil
	}
	k.made.Do(func() { k.known, _ = lru.New[string, knownFollowUps](maxKnown) }) // New fails only for a bound below 1.
	if one, ok := k.known.Get(organization); ok && one.version == version {
		return one.active, nil
	}
	// They are read behind the version, and may be newer: then the next version has them
	// read again.
	active, err := catalog.ActiveOf(ctx, s.Reader(), organization)
	if err != nil {
		return nil, fmt.Errorf("read the follow-ups: %w", err)
	}
	k.known.Add(organization, knownFollowUps{version, active})
	return active, nil
}
