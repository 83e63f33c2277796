//go:build unix

package e2e

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"usersync/internal/usersync"
	"usersync/internal/webhooksig"
)

// receiver takes webhooks as a caller's server does and keeps what it saw.
type receiver struct {
	url string

	mu     sync.Mutex
	secret usersync.Secret
	hold   chan struct{} // calls wait until it is closed; nil: they do not
	held   int           // calls that wait
	faults faults
	total  int
	// by request and type of message
	got map[hookKey]*hook
	// completed is when the first webhook with a request's end came.
	completed map[string]time.Time
}

type hookKey struct {
	request string
	kind    usersync.MessageType
}

// hook is what is known of one message that should have one id and one body.
type hook struct {
	ids    map[string]int // how often each came
	body   [sha256.Size]byte
	report usersync.Report
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{got: map[hookKey]*hook{}, completed: map[string]time.Time{}}
	server := httptest.NewServer(r)
	t.Cleanup(func() {
		r.release()
		server.Close()
	})
	r.url = server.URL + "/hooks"
	return r
}

// ServeHTTP takes a webhook.
func (r *receiver) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	body, err := io.ReadAll(request.Body)
	if err != nil {
		return // the sender died
	}
	r.wait(request)
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.take(request.Header, body); err != nil {
		r.faults.add("webhook refused", "%v", err)
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// wait keeps a call waiting while the receiver holds; one whose sender goes
// away meanwhile is not answered, but it did come.
func (r *receiver) wait(request *http.Request) {
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

// pause has calls wait until release.
func (r *receiver) pause() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.hold = make(chan struct{})
}

func (r *receiver) release() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.hold != nil {
		close(r.hold)
		r.hold = nil
	}
}

func (r *receiver) waiting() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.held
}

// steady returns a condition: calls wait, and their number has not changed for
// a while.
func (r *receiver) steady(while time.Duration) func() bool {
	last, since := 0, time.Now()
	return func() bool {
		if n := r.waiting(); n != last {
			last, since = n, time.Now()
		}
		return last > 0 && time.Since(since) >= while
	}
}

// signed tells the receiver the secret of its endpoint.
func (r *receiver) signed(secret usersync.Secret) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.secret = secret
}

// tolerance is how old a signature may be.
const tolerance = 5 * time.Minute

// take notes a webhook. It is called with the lock held.
func (r *receiver) take(header http.Header, body []byte) error {
	if err := webhooksig.Verify(r.secret, header, body, time.Now(), tolerance); err != nil {
		return err
	}
	var message struct {
		Type usersync.MessageType `json:"type"`
		Data usersync.Report      `json:"data"`
	}
	if err := json.Unmarshal(body, &message); err != nil {
		return err
	}
	r.total++
	key, id, sum := hookKey{message.Data.RequestID, message.Type}, header.Get(webhooksig.HeaderID), sha256.Sum256(body)
	h := r.got[key]
	if h == nil {
		h = &hook{ids: map[string]int{}, body: sum, report: message.Data}
		r.got[key] = h
	}
	h.ids[id]++
	if h.body != sum {
		r.faults.add("body of a webhook changed", "%s of %s", message.Type, message.Data.RequestID)
	}
	if _, ok := r.completed[message.Data.RequestID]; !ok && ends(message.Type) {
		r.completed[message.Data.RequestID] = time.Now()
	}
	return nil
}

// ends reports whether messages of this type tell a request's end.
func ends(t usersync.MessageType) bool {
	return t == usersync.MessageCompleted || t == usersync.MessageFailed
}

// done returns how many requests ended, as far as webhooks told.
func (r *receiver) done() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.completed)
}

// endings returns when each request's end was told.
func (r *receiver) endings() map[string]time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make(map[string]time.Time, len(r.completed))
	for id, at := range r.completed {
		out[id] = at
	}
	return out
}

// faults collects what is wrong, some of each kind in full.
type faults struct {
	kinds    []string
	count    map[string]int
	examples map[string][]string
}

const shownExamples = 3

func (f *faults) add(kind, format string, args ...any) {
	if f.count == nil {
		f.count, f.examples = map[string]int{}, map[string][]string{}
	}
	if f.count[kind] == 0 {
		f.kinds = append(f.kinds, kind)
	}
	f.count[kind]++
	if len(f.examples[kind]) < shownExamples {
		f.examples[kind] = append(f.examples[kind], fmt.Sprintf(format, args...))
	}
}

// report fails the test for each kind of fault.
func (f *faults) report(t *testing.T) {
	t.Helper()
	for _, kind := range f.kinds {
		t.Errorf("%s: %d times, for example %q", kind, f.count[kind], f.examples[kind])
	}
}
