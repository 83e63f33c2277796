package issuer

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"usersync/internal/outbound"
	"usersync/internal/usersync"
)

// KeySets keeps the keys that issuers serve. It is safe for concurrent use.
type KeySets struct {
	HTTP *outbound.Client
	// Now is the process's clock; nil is time.Now. Only the time that has passed counts.
	Now func() time.Time

	mu   sync.Mutex
	sets map[string]*keySet
}

const (
	// setFresh is how long keys count without being fetched again.
	setFresh = 10 * time.Minute
	// setFloor is the least time between two fetches, however many tokens name a kid
	// that nobody knows.
	setFloor = 30 * time.Second
	// setUsable is how long keys count while they cannot be fetched.
	setUsable = 12 * time.Hour
	// fetchWithin bounds one fetch.
	fetchWithin = 2 * time.Second
	// maxSets bounds the sets in memory.
	maxSets = 10_000
)

// keySet is what is served at one address, for one organization.
type keySet struct {
	mu      sync.Mutex
	keys    []key
	fetched time.Time     // when keys came
	tried   time.Time     // when they were last asked for
	err     error         // of the last fetch
	loading chan struct{} // closed when the fetch under way has ended; nil where there is none
}

// begin says whether the keys that are there will do for a kid, and otherwise which fetch
// to wait for, which the caller has to make where it is the first that wants it.
func (k *keySet) begin(kid string, now time.Time) (wait chan struct{}, first, enough bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	known := kid == "" || slices.ContainsFunc(k.keys, func(one key) bool { return one.id == kid })
	enough = known && !k.fetched.IsZero() && now.Sub(k.fetched) < setUsable
	fresh := enough && now.Sub(k.fetched) < setFresh
	if !fresh && k.loading == nil && (k.tried.IsZero() || now.Sub(k.tried) >= setFloor) {
		k.loading, k.tried = make(chan struct{}), now
		return k.loading, true, enough
	}
	return k.loading, false, enough
}

// end notes what a fetch brought.
func (k *keySet) end(keys []key, err error, now time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.err = err
	if err == nil {
		k.keys, k.fetched = keys, now
	}
	close(k.loading)
	k.loading = nil
}

func (k *keySet) get(now time.Time) ([]key, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.fetched.IsZero() || now.Sub(k.fetched) >= setUsable {
		return nil, usersync.Errorf(usersync.CodeUnavailable, "The keys of the token's issuer cannot be fetched.").Because(k.err)
	}
	return k.keys, nil
}

func (s *KeySets) now() time.Time {
	if s.Now != nil {
		return s.Now()
	}
	return time.Now()
}

// get returns the keys at an address, fetched again where they are old or where none has
// the kid. Who names a kid that is known does not wait for the fetch of another caller. An
// error has code unavailable.
func (s *KeySets) get(ctx context.Context, organization, address, kid string) ([]key, error) {
	set := s.set(organization + "\n" + address)
	now := s.now()
	wait, first, enough := set.begin(kid, now)
	switch {
	case first:
		keys, err := s.fetch(ctx, address)
		set.end(keys, err, now)
	case wait != nil && !enough:
		select {
		case <-wait:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return set.get(now)
}

func (s *KeySets) set(name string) *keySet {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sets == nil || len(s.sets) >= maxSets {
		s.sets = map[string]*keySet{}
	}
	set := s.sets[name]
	if set == nil {
		set = &keySet{}
		s.sets[name] = set
	}
	return set
}

// fetch asks for the keys. Its deadline is its own: a caller who leaves does not have the
// next one wait for the floor.
func (s *KeySets) fetch(ctx context.Context, address string) ([]key, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), fetchWithin)
	defer cancel()
	return s.ask(ctx, address)
}

func (s *KeySets) ask(ctx context.Context, address string) ([]key, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, fmt.Errorf("make the request: %w", err)
	}
	request.Header.Set("Accept", "application/json")
	response, err := s.HTTP.Do(ctx, request)
	switch {
	case err != nil:
		return nil, fmt.Errorf("ask for the keys: %w", err)
	case response.Status != http.StatusOK || response.Truncated:
		return nil, fmt.Errorf("ask for the keys: status %d, %d bytes", response.Status, len(response.Body))
	}
	return parseSet(response.Body)
}
