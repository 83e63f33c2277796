package api

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"usersync/internal/store"
	"usersync/internal/telemetry"
	"usersync/internal/usersync"
)

// The refusals of a key, in the words of the native contract.
var (
	ErrNoKey    = usersync.Errorf(usersync.CodeUnauthorized, "API Key is required")
	ErrUnlinked = usersync.Errorf(usersync.CodeInvalid, "API Key is not linked to a valid organization.")
)

// KeyAuth takes the API key from X-API-Key, or from Authorization: Bearer.
func KeyAuth(c *Call) error { return c.Authenticate(HeaderKey(c.Request().Header)) }

// HeaderKey returns the API key that a header carries, zero for none.
func HeaderKey(h http.Header) usersync.Secret {
	key := strings.TrimSpace(h.Get("X-Api-Key"))
	if key == "" {
		key = BearerToken(h)
	}
	return usersync.NewSecret(key)
}

// BearerToken returns the token of Authorization: Bearer, "" for none. The
// scheme's case does not matter (RFC 9110 §11.1).
func BearerToken(h http.Header) string {
	scheme, token, _ := strings.Cut(h.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}

// maxKey is above the length in bytes of any key we made.
const maxKey = 256

// Authenticate finds the caller that the key belongs to, and refuses in this
// order: no or unknown key, no organization, rate, scope of the route.
func (c *Call) Authenticate(key usersync.Secret) error {
	if key.IsZero() {
		return ErrNoKey
	}
	if len(key.Reveal()) > maxKey {
		return store.ErrInvalidKey
	}
	caller, ok, err := c.edge.callers.find(c.ctx, store.HashKey(key))
	if err != nil {
		return err
	}
	if !ok || !caller.Key.ValidAt(c.start) {
		return store.ErrInvalidKey
	}
	c.Caller, c.Actor = caller, caller.Key.ID
	telemetry.Add(c.ctx, slog.String("organization", caller.Key.Organization), slog.String("key", caller.Key.ID))
	switch {
	case caller.Key.Organization == "":
		return ErrUnlinked
	case caller.Organization.Status != usersync.OrganizationActive:
		return store.ErrInvalidOrganization
	}
	if err := c.limit(); err != nil {
		return err
	}
	if s := c.route.Scope; s != "" && !caller.Key.Allows(s) {
		return usersync.Errorf(usersync.CodeForbidden, "API Key lacks the scope %s.", s)
	}
	return nil
}

const (
	// callerFresh is how long a caller is believed. The accepting transaction
	// looks at the key again, so nothing is accepted on a revoked one.
	callerFresh = time.Second
	// callerLookup bounds one look into the database, whoever waits for it.
	callerLookup = 5 * time.Second
	// maxCallers bounds the callers remembered, known and unknown.
	maxCallers = 10_000
)

// callers remembers who keys belong to; many calls at once with one key ask
// the database once.
type callers struct {
	load func(ctx context.Context, hash string) (store.Caller, bool, error)

	mu   sync.Mutex
	seen map[string]*lookup
}

// lookup is one answer of the database, or the wait for it.
type lookup struct {
	done   chan struct{}
	until  time.Time // zero while it runs; guarded by callers.mu
	caller store.Caller
	ok     bool
	err    error
}

func newCallers(load func(context.Context, string) (store.Caller, bool, error)) *callers {
	return &callers{load: load, seen: map[string]*lookup{}}
}

func (k *callers) find(ctx context.Context, hash string) (store.Caller, bool, error) {
	l, mine := k.join(hash)
	if mine {
		k.run(ctx, hash, l)
	}
	select {
	case <-l.done:
		return l.caller, l.ok, l.err
	case <-ctx.Done():
		return store.Caller{}, false, ctx.Err()
	}
}

// join returns the lookup to wait for; mine says that the caller must run it.
func (k *callers) join(hash string) (l *lookup, mine bool) {
	now := time.Now()
	k.mu.Lock()
	defer k.mu.Unlock()
	if l = k.seen[hash]; l != nil && (l.until.IsZero() || now.Before(l.until)) {
		return l, false
	}
	if len(k.seen) >= maxCallers {
		k.shrink(now)
	}
	l = &lookup{done: make(chan struct{})}
	k.seen[hash] = l
	return l, true
}

// run asks the database. Its context outlives the call that asks, since others
// wait for the answer too. An error is not remembered, and a panic leaves nobody
// waiting.
func (k *callers) run(ctx context.Context, hash string, l *lookup) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), callerLookup)
	defer cancel()
	l.err = errLookup
	defer k.finish(hash, l)
	l.caller, l.ok, l.err = k.load(ctx, hash)
}

// errLookup stands while a lookup runs: what others get when it panics.
var errLookup = errors.New("api: the lookup of a key did not end")

func (k *callers) finish(hash string, l *lookup) {
	k.mu.Lock()
	l.until = time.Now().Add(callerFresh)
	if l.err != nil && k.seen[hash] == l {
		delete(k.seen, hash)
	}
	k.mu.Unlock()
	close(l.done)
}

// shrink drops what is stale and, when that is not enough, a tenth at random.
func (k *callers) shrink(now time.Time) {
	for hash, l := range k.seen {
		if !l.until.IsZero() && !now.Before(l.until) {
			delete(k.seen, hash)
		}
	}
	spare := len(k.seen) - maxCallers*9/10
	for hash := range k.seen {
		if spare <= 0 {
			return
		}
		delete(k.seen, hash)
		spare--
	}
}
