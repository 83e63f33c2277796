package session

import (
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/time/rate"

	"usersync/internal/api"
)

// Wrong keys that one address may try: a handful at once, then one in ten seconds.
const (
	triesAtOnce = 6
	triesEvery  = 10 * time.Second
	// maxTriers bounds the addresses that are remembered.
	maxTriers = 10_000
)

// Tries throttles wrong sign-ins by address. Right ones cost nothing.
type Tries struct {
	by *lru.Cache[string, *rate.Limiter]
}

// NewTries returns a throttle that remembers nobody yet.
func NewTries() *Tries {
	by, _ := lru.New[string, *rate.Limiter](maxTriers) // New fails only for a bound below 1.
	return &Tries{by}
}

// Wait returns how long an address has to wait before it may try again, 0 for not at all.
func (t *Tries) Wait(remote string) time.Duration {
	l, ok := t.by.Get(api.NetworkOf(remote))
	if !ok {
		return 0
	}
	if tokens := l.Tokens(); tokens < 1 {
		return time.Duration((1 - tokens) * float64(triesEvery))
	}
	return 0
}

// Note counts a wrong try.
func (t *Tries) Note(remote string) {
	who := api.NetworkOf(remote)
	l, ok := t.by.Get(who)
	if !ok {
		l = rate.NewLimiter(rate.Every(triesEvery), triesAtOnce)
		t.by.Add(who, l)
	}
	l.Allow()
}
