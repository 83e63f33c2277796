package delivery

import (
	"context"
	"fmt"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"usersync/internal/store"
	"usersync/internal/webhooksig"
)

// target is what attempts need of an enabled endpoint.
type target struct {
	url    string
	signer *webhooksig.Signer
	// version is the endpoint's, as it was read.
	version int64
	// until is when the signer's old secret ends, by this process's monotonic clock. It is
	// zero where there is none.
	until time.Time
}

// fits reports whether an endpoint of this version is still called in this way.
func (t target) fits(version int64) bool {
	return t.version == version && (t.until.IsZero() || time.Until(t.until) > 0) //lint:clock it counts on, by a clock that nobody sets
}

// maxTargets bounds the endpoints that a process remembers.
const maxTargets = 4096

// targets remembers how endpoints are called, so that neither the database nor the
// seal is asked at every delivery. The zero value remembers none.
type targets struct {
	once  sync.Once
	known *lru.Cache[targetKey, target]
}

// targetKey names an endpoint. One of another organization is not found by its id.
type targetKey struct{ organization, endpoint string }

// find returns how an endpoint is called. What is remembered is used where its version
// is the one that the deliveries came with. The error of an endpoint that is not there is
// ErrNoEndpoint, that of one which is disabled is ErrEndpointDisabled.
func (t *targets) find(ctx context.Context, org *store.Org, endpoint string, version int64) (target, error) {
	t.once.Do(func() { t.known, _ = lru.New[targetKey, target](maxTargets) }) // New fails only for a bound below 1.
	key := targetKey{org.ID(), endpoint}
	if found, ok := t.known.Get(key); ok && found.fits(version) {
		return found, nil
	}
	loaded, err := loadTarget(ctx, org, endpoint)
	if err != nil {
		t.known.Remove(key)
		return target{}, err
	}
	t.known.Add(key, loaded)
	return loaded, nil
}

func loadTarget(ctx context.Context, org *store.Org, endpoint string) (target, error) {
	e, err := GetEndpoint(ctx, org, endpoint)
	if err != nil {
		return target{}, fmt.Errorf("load the endpoint: %w", err)
	}
	if e.Status != EndpointEnabled {
		return target{}, ErrEndpointDisabled
	}
	signer, err := webhooksig.NewSigner(e.Secrets...)
	if err != nil {
		return target{}, fmt.Errorf("read the signing keys: %w", err)
	}
	t := target{url: e.URL, signer: signer, version: e.version}
	if e.oldSecretFor > 0 {
		t.until = time.Now().Add(e.oldSecretFor) //lint:clock it counts on from what the database has told
	}
	return t, nil
}
