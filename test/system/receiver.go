//go:build unix

package system

import (
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"usersync/internal/delivery"
	"usersync/internal/request"
	"usersync/internal/usersync"
	"usersync/internal/webhooksig"
)

// Receiver takes webhooks as a caller's server does and keeps what it saw.
type Receiver struct {
	URL string
	// Faults are what was wrong with webhooks.
	Faults Faults

	hangUp func()

	mu     sync.Mutex
	secret usersync.Secret
	hold   chan struct{} // calls wait until it is closed; nil: they do not
	held   int           // calls that wait
	// amiss, when set, may answer in the receiver's place.
	amiss func(w http.ResponseWriter, r *http.Request) (answered bool)
	total int
	// by request and type of message
	got map[HookKey]*Hook

	// ends are the webhooks that told of a request's end.
	ends Arrivals
}

// HookKey names a message by the request it tells of, or by its id where it tells
// of none.
type HookKey struct {
	Request string
	Kind    delivery.MessageType
}

// Hook is what is known of one message that should have one id and one body.
type Hook struct {
	IDs    map[string]int // how often each came
	body   [sha256.Size]byte
	Report request.View
}

// NewReceiver starts a receiver that answers 204. It ends with the test.
func NewReceiver(t *testing.T) *Receiver {
	t.Helper()
	r := &Receiver{got: map[HookKey]*Hook{}}
	server := httptest.NewServer(r)
	r.hangUp = server.CloseClientConnections
	t.Cleanup(func() {
		r.Release()
		server.Close()
	})
	r.URL = server.URL + "/hooks"
	return r
}

// ServeHTTP takes a webhook.
func (r *Receiver) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	body, err := io.ReadAll(request.Body)
	if err != nil {
		return // the sender died
	}
	if amiss := r.misbehaviour(); amiss != nil && amiss(w, request) {
		return
	}
	r.wait(request)
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.take(request.Header, body); err != nil {
		r.Faults.Add("webhook refused", "%v", err)
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// Misbehave has amiss see all calls first until it is called with nil. What it
// answers itself does not count as received.
func (r *Receiver) Misbehave(amiss func(w http.ResponseWriter, r *http.Request) (answered bool)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.amiss = amiss
}

func (r *Receiver) misbehaviour() func(http.ResponseWriter, *http.Request) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.amiss
}

// wait keeps a call waiting while the receiver holds; one whose sender goes
// away meanwhile is not answered, but it did come.
func (r *Receiver) wait(request *http.Request) {
	r.mu.Lock()
	hold := r.hold
	if hold != nil {
		r.held++
	}
	r.mu.Unlock()
	if hold == nil {
		return
	}
	select {
	case <-hold:
	case <-request.Context().Done():
	}
	r.mu.Lock()
	r.held--
	r.mu.Unlock()
}

// Pause has calls wait until release.
func (r *Receiver) Pause() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.hold = make(chan struct{})
}

// Release lets the calls that wait, and all that come, go on.
func (r *Receiver) Release() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.hold != nil {
		close(r.hold)
		r.hold = nil
	}
}

// Waiting counts the calls that wait.
func (r *Receiver) Waiting() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.held
}

// Steady returns a condition: calls wait, and their number has not changed for
// a while.
func (r *Receiver) Steady(while time.Duration) func() bool {
	last, since := 0, time.Now()
	return func() bool {
		if n := r.Waiting(); n != last {
			last, since = n, time.Now()
		}
		return last > 0 && time.Since(since) >= while
	}
}

// HangUp closes all connections; new ones are taken.
func (r *Receiver) HangUp() { r.hangUp() }

// Signed tells the receiver the secret of its endpoint.
func (r *Receiver) Signed(secret usersync.Secret) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.secret = secret
}

// tolerance is how old a signature may be.
const tolerance = 5 * time.Minute

// take notes a webhook. It is called with the lock held.
func (r *Receiver) take(header http.Header, body []byte) error {
	if err := webhooksig.Verify(r.secret, header, body, time.Now(), tolerance); err != nil {
		return fmt.Errorf("verify a webhook: %w", err)
	}
	var message struct {
		Type delivery.MessageType `json:"type"`
		Data request.View         `json:"data"`
	}
	if err := json.Unmarshal(body, &message); err != nil {
		return fmt.Errorf("decode a webhook: %w", err)
	}
	r.total++
	id, sum := header.Get(webhooksig.HeaderID), sha256.Sum256(body)
	key := HookKey{cmp.Or(message.Data.RequestID, id), message.Type}
	h := r.got[key]
	if h == nil {
		h = &Hook{IDs: map[string]int{}, body: sum, Report: message.Data}
		r.got[key] = h
	}
	h.IDs[id]++
	if h.body != sum {
		r.Faults.Add("body of a webhook changed", "%s of %s", message.Type, message.Data.RequestID)
	}
	if Ends(message.Type) {
		r.ends.Note(message.Data.RequestID, id, time.Now())
	}
	return nil
}

// Ends reports whether messages of this type tell a request's end.
func Ends(t delivery.MessageType) bool {
	return t == delivery.MessageCompleted || t == delivery.MessageFailed
}

// Done returns how many requests ended, as far as webhooks told.
func (r *Receiver) Done() int { return r.ends.Count().Requests }

// Endings returns when each request's end was told.
func (r *Receiver) Endings() map[string]time.Time {
	all := r.ends.All().Arrivals
	out := make(map[string]time.Time, len(all))
	for id, a := range all {
		out[id] = a.Time()
	}
	return out
}

// Received returns how many different messages came, and how many calls in all.
func (r *Receiver) Received() (messages, calls int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.got), r.total
}
