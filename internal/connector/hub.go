package connector

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"usersync/internal/outbound"
	"usersync/internal/queue"
	"usersync/internal/telemetry"
	"usersync/internal/usersync"
)

// Hub is what all connections of a process share. It is safe for concurrent use, if
// its fields do not change once it is in use.
type Hub struct {
	// HTTP makes the exchanges. Its Timeout is a second bound beside Limits.Timeout, and
	// should be no lower than the longest of those.
	HTTP *outbound.Client
	// Limiter keeps the limits of accounts over all processes. A nil Limiter keeps none.
	// While its Redis is away, calls are made without it, because a check must work
	// then. What workers have begun ends within the turn of one connection, which makes
	// no more calls at once than Limits.Concurrent. The platform's own 429 still counts.
	Limiter *queue.Limiter
	// Metrics may be nil.
	Metrics *telemetry.Metrics

	mu       sync.Mutex
	breakers map[string]*breaker
	away     atomic.Int64 // until when the limiter is not asked, in Unix nanoseconds
}

// Client returns the client of a connection of an organization. A connection that is
// not saved yet has no id and no breaker.
func (h *Hub) Client(organization, connectionID string) *Client {
	c := &Client{HTTP: h.HTTP, Connection: connectionID, Organization: organization, hub: h}
	if connectionID == "" {
		return c
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.breakers == nil {
		h.breakers = map[string]*breaker{}
	}
	if h.breakers[connectionID] == nil {
		h.breakers[connectionID] = newBreaker()
	}
	c.breaker = h.breakers[connectionID]
	return c
}

// Forget closes the breaker of a connection that was changed or deleted.
func (h *Hub) Forget(connectionID string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.breakers, connectionID)
}

// Lift ends the pause of the account that a connection of an organization leads to, in
// all processes. An error has code unavailable.
func (h *Hub) Lift(ctx context.Context, organization string, k Platform, cfg Config) error {
	if h.Limiter == nil {
		return nil
	}
	_, common, err := split(cfg.Settings)
	if err != nil {
		return fmt.Errorf("read the settings: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, limiterWithin)
	defer cancel()
	for _, l := range k.Lanes {
		if err := h.Limiter.Lift(ctx, k.account(organization, common, cfg, l.Name)); err != nil {
			return fmt.Errorf("lift the pause of a lane: %w", err)
		}
	}
	return h.Limiter.Lift(ctx, k.account(organization, common, cfg))
}

const (
	// limiterWithin bounds one question to the limiter.
	limiterWithin = time.Second
	// limiterAway is how long the limiter is not asked after a question that failed.
	limiterAway = 5 * time.Second
)

// limiter returns nil if there is no limiter, or it is away.
func (h *Hub) limiter() *queue.Limiter {
	if h == nil || time.Now().UnixNano() < h.away.Load() {
		return nil
	}
	return h.Limiter
}

// lost keeps calls from waiting for a limiter that is away.
func (h *Hub) lost() { h.away.Store(time.Now().Add(limiterAway).UnixNano()) }

// acquire waits in the line of the account, see queue.Limiter. A limiter that is away
// lets every call pass.
func (h *Hub) acquire(ctx context.Context, account queue.AccountKey, limit queue.Limit, ttl, patience time.Duration) (release func(), err error) {
	l := h.limiter()
	if l == nil {
		return func() {}, nil
	}
	release, err = l.Acquire(ctx, account, limit, ttl, patience)
	if usersync.CodeOf(err) != usersync.CodeUnavailable {
		return release, err
	}
	h.lost()
	return func() {}, nil
}

// pause stops all processes from calling an account for d, see queue.MaxPause.
func (h *Hub) pause(ctx context.Context, account queue.AccountKey, d time.Duration) {
	l := h.limiter()
	if l == nil || d <= 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), limiterWithin)
	defer cancel()
	if err := l.Pause(ctx, account, d); err != nil {
		h.lost()
	}
}

func (h *Hub) observe(platform, outcome string, took time.Duration) {
	if h != nil && h.Metrics != nil {
		h.Metrics.ObserveCall(platform, outcome, took)
	}
}
