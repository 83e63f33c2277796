//go:build unix

package system

import (
	"maps"
	"sync"
	"time"
)

// Arrivals notes, for a receiver of webhooks, which requests were told of and
// when. The zero value is ready for use, from several goroutines.
type Arrivals struct {
	mu       sync.Mutex
	calls    int64
	requests map[string]Arrival
	messages map[string]struct{} // webhook ids
}

// Arrival is what came of one request.
type Arrival struct {
	At    int64 `json:"at"` // of the first webhook, in ns since 1970
	Count int   `json:"n"`
}

// Time returns when the first webhook came.
func (a Arrival) Time() time.Time { return time.Unix(0, a.At) }

// Received is how much came.
type Received struct {
	Deliveries int64              `json:"deliveries"`
	Messages   int                `json:"messages"` // different webhook ids
	Requests   int                `json:"requests"` // different request ids
	Arrivals   map[string]Arrival `json:"arrivals,omitempty"`
}

// Note notes a webhook of a request that came under an id.
func (a *Arrivals) Note(request, message string, at time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.requests == nil {
		a.requests, a.messages = map[string]Arrival{}, map[string]struct{}{}
	}
	a.calls++
	a.messages[message] = struct{}{}
	one, known := a.requests[request]
	if !known {
		one.At = at.UnixNano()
	}
	one.Count++
	a.requests[request] = one
}

// Count returns how much came, without the arrivals of each request.
func (a *Arrivals) Count() Received {
	a.mu.Lock()
	defer a.mu.Unlock()
	return Received{Deliveries: a.calls, Messages: len(a.messages), Requests: len(a.requests)}
}

// All returns how much came, with the arrivals of each request.
func (a *Arrivals) All() Received {
	out := a.Count()
	a.mu.Lock()
	defer a.mu.Unlock()
	out.Arrivals = maps.Clone(a.requests)
	return out
}
