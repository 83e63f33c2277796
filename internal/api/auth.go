package api

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/singleflight"

	"usersync/internal/intake"
	"usersync/internal/store"
	"usersync/internal/telemetry"
	"usersync/internal/tenant"
	"usersync/internal/usersync"
)

// These are the refusals of a key, in the words of the native contract.
var (
	ErrNoKey    = usersync.Errorf(usersync.CodeUnauthorized, "API Key is required")
	ErrUnlinked = usersync.Errorf(usersync.CodeInvalid, "API Key is not linked to a valid organization.")
)

// KeyAuth takes the API key from X-API-Key, or from Authorization: Bearer.
func KeyAuth(c *Call) error { return c.Authenticate(HeaderKey(c.Request().Header)) }

// HeaderKey returns the API key that a header carries, the zero Secret when it
// carries none.
func HeaderKey(h http.Header) usersync.Secret {
	key := strings.TrimSpace(h.Get("X-Api-Key"))
	if key == "" {
		key = BearerToken(h)
	}
	return usersync.NewSecret(key)
}

// BearerToken returns the token of Authorization: Bearer, "" when there is none.
// The case of the scheme does not matter (RFC 9110 §11.1).
func BearerToken(h http.Header) string {
	scheme, token, _ := strings.Cut(h.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}

// maxKey bounds a key in bytes. Every key that we make is shorter.
const maxKey = 256

// Authenticate finds the caller that the key belongs to, and refuses in this
// order: no or unknown key, no organization, rate, scope of the route.
func (c *Call) Authenticate(key usersync.Secret) error {
	if key.IsZero() {
		return ErrNoKey
	}
	if len(key.Reveal()) > maxKey {
		return intake.ErrInvalidKey
	}
	return c.admit(c.edge.callers.find(c.ctx, tenant.HashKey(key)))
}

// AuthenticateKey is Authenticate for a caller who has shown in another way that the key
// with this id is theirs.
func (c *Call) AuthenticateKey(id string) error { return c.admit(c.edge.keys.find(c.ctx, id)) }

// admit lets a caller in who was looked up.
func (c *Call) admit(caller tenant.Caller, ok bool, err error) error {
	if err != nil {
		return fmt.Errorf("find the caller: %w", err)
	}
	if !ok || !caller.Key.ValidAt(caller.At) {
		return intake.ErrInvalidKey
	}
	c.Caller, c.Actor = caller, caller.Key.ID
	telemetry.Add(c.ctx, slog.String("organization", caller.Key.Organization), slog.String("key", caller.Key.ID))
	switch {
	case caller.Key.Organization == "":
		return ErrUnlinked
	case caller.Organization.Status != tenant.Active:
		return intake.ErrInvalidOrganization
	}
	if err := c.limit(); err != nil {
		return err
	}
	needs := c.route.Scope
	if refusal := caller.Key.Refuse(caller.At, caller.Organization.Status, needs); refusal != nil {
		return refusal
	}
	c.Caller.Org = caller.Org.Guarded(func(ctx context.Context, tx *store.Tx) error {
		return tenant.HoldKey(ctx, tx, caller.Key.ID, needs)
	})
	return nil
}

const (
	// callerFresh is how long the answer of the database counts for calls that read.
	// Every transaction that writes reads the key again, see tenant.HoldKey.
	callerFresh = time.Second
	// callerLookup bounds one query, however many calls wait for it.
	callerLookup = 5 * time.Second
	// maxCallers bounds the callers remembered, known and unknown.
	maxCallers = 10_000
)

// callers caches whom keys belong to, and which keys do not exist. Concurrent
// calls with one key share one query.
type callers struct {
	load   func(ctx context.Context, hash string) (tenant.Caller, bool, error)
	asking singleflight.Group
	known  *lru.Cache[string, answer]
}

// answer is what the database said of a key.
type answer struct {
	caller tenant.Caller
	ok     bool
	read   time.Time // counted from, by a clock that nobody sets
}

// now returns the caller with the database's time of now.
func (a answer) now() tenant.Caller {
	c := a.caller
	c.At = c.At.Add(time.Since(a.read))
	return c
}

func newCallers(load func(context.Context, string) (tenant.Caller, bool, error)) *callers {
	known, _ := lru.New[string, answer](maxCallers) // New fails only for a bound below 1.
	return &callers{load: load, known: known}
}

func (k *callers) find(ctx context.Context, hash string) (tenant.Caller, bool, error) {
	if a, ok := k.recall(hash); ok {
		return a.now(), a.ok, nil
	}
	asked := k.asking.DoChan(hash, func() (any, error) { return k.ask(ctx, hash) })
	select {
	case r := <-asked:
		a, _ := r.Val.(answer)
		return a.now(), a.ok, r.Err
	case <-ctx.Done():
		return tenant.Caller{}, false, ctx.Err()
	}
}

func (k *callers) recall(hash string) (answer, bool) {
	a, ok := k.known.Get(hash)
	return a, ok && time.Since(a.read) < callerFresh
}

// ask asks the database. Its context outlives the call that asks, since others
// wait for the answer too. An error is not remembered. A panic becomes an error:
// this runs in a goroutine of its own, where a panic would end the process.
func (k *callers) ask(ctx context.Context, hash string) (a answer, err error) {
	if a, ok := k.recall(hash); ok {
		return a, nil // Another lookup has ended since find looked.
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), callerLookup)
	defer cancel()
	defer func() {
		if r := recover(); r != nil {
			a, err = answer{}, fmt.Errorf("look up a key: %w", panicError(r))
		}
	}()
	a.caller, a.ok, err = k.load(ctx, hash)
	if err != nil {
		return answer{}, fmt.Errorf("look up a key: %w", err)
	}
	a.read = time.Now()
	k.known.Add(hash, a)
	return a, nil
}
