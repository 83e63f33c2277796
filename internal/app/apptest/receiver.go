package apptest

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"usersync/internal/webhooksig"
)

// Receiver is a webhook receiver. It is a real server that keeps what it gets and
// answers as the test wants.
type Receiver struct {
	URL string

	mu     sync.Mutex
	answer func(w http.ResponseWriter, n int)
	got    []Received
}

// Received is one webhook.
type Received struct {
	ID     string
	Header http.Header
	Body   []byte
}

// NewReceiver starts a receiver that answers 204.
func NewReceiver(t *testing.T) *Receiver {
	t.Helper()
	r := &Receiver{answer: func(w http.ResponseWriter, _ int) { w.WriteHeader(http.StatusNoContent) }}
	server := httptest.NewServer(r)
	t.Cleanup(server.Close)
	r.URL = server.URL + "/hooks"
	return r
}

// Answer sets how the receiver answers. n is the number of the call, counted from 1.
func (r *Receiver) Answer(answer func(w http.ResponseWriter, n int)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer = answer
}

// Next makes the receiver answer the next calls with these statuses, and all later
// ones with the last.
func (r *Receiver) Next(statuses ...int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	before := len(r.got)
	r.answer = func(w http.ResponseWriter, n int) { w.WriteHeader(statuses[min(n-before, len(statuses))-1]) }
}

// ServeHTTP takes a webhook.
func (r *Receiver) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	body, err := io.ReadAll(request.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	r.mu.Lock()
	r.got = append(r.got, Received{ID: request.Header.Get(webhooksig.HeaderID), Header: request.Header.Clone(), Body: body})
	n, answer := len(r.got), r.answer
	r.mu.Unlock()
	answer(w, n)
}

// Got returns the webhooks that arrived so far.
func (r *Receiver) Got() []Received {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]Received(nil), r.got...)
}

// Type returns the type that the body names, or "" if it names none.
func (r Received) Type() string {
	var body struct {
		Type string `json:"type"`
	}
	_ = json.Unmarshal(r.Body, &body)
	return body.Type
}
