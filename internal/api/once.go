package api

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"usersync/internal/idempotency"
	"usersync/internal/store"
	"usersync/internal/usersync"
)

// Once makes a handler take Idempotency-Key: the first good answer to a key is
// kept, sealed, for a day and given again to every further call with the key and
// the same body. A call that comes while the first is under way waits for it.
//
// Calls that accept requests do not need it, since they keep their key in the
// accepting transaction. Here the key is kept outside of the transaction: when the
// process dies between the change and the keeping of the answer, a further call
// with the key runs the handler again.
func Once(handler func(*Call) error) func(*Call) error {
	return func(c *Call) error {
		key, err := c.Idempotency()
		if err != nil {
			return fmt.Errorf("read the idempotency key: %w", err)
		}
		if key == nil {
			return handler(c)
		}
		return c.once(*key, handler)
	}
}

const (
	// onceWait is how long a call waits for the first one with its key.
	onceWait = 10 * time.Second
	// oncePoll is how often a waiting call looks for the answer.
	oncePoll = 50 * time.Millisecond
)

// errUnderWay refuses a call while the first call with its key still runs.
var errUnderWay = usersync.Errorf(usersync.CodeConflict, "A call with this Idempotency-Key is still under way; send it again later.")

// keptAnswer is an answer as it is stored.
type keptAnswer struct {
	Status int               `json:"status"`
	Header map[string]string `json:"header"`
	Body   []byte            `json:"body"`
}

// keptHeaders are the headers that belong to an answer's content.
var keptHeaders = []string{"Content-Type", "Location", headerRequestID}

func (c *Call) once(key idempotency.Key, handler func(*Call) error) error {
	organization := c.Caller.Key.Organization
	ctx, cancel := context.WithTimeout(c.ctx, onceWait)
	defer cancel()
	for { //lint:loop waits for another call with the same key
		kept, mine, err := idempotency.Take(c.ctx, c.view(), key)
		switch {
		case err != nil:
			return fmt.Errorf("take the idempotency key: %w", err)
		case mine:
			return c.first(organization, key, handler)
		case kept != nil:
			return c.replay(kept)
		}
		select {
		case <-ctx.Done():
			return errUnderWay
		case <-time.After(oncePoll):
		}
	}
}

// view is the caller's of the database; an operator's is that of no organization.
func (c *Call) view() *store.Org {
	if c.Caller.Org == nil {
		return c.edge.store.Org("")
	}
	return c.Caller.Org
}

// first runs the handler and keeps its answer when it is a good one. The answer
// goes out after it was kept, so that nobody who has seen it can get another.
func (c *Call) first(organization string, key idempotency.Key, handler func(*Call) error) error {
	recorded, err := c.record(handler)
	// What follows must be done even when the caller has gone away.
	ctx := context.WithoutCancel(c.ctx)
	if err != nil || recorded.status < 200 || recorded.status > 299 {
		return firstOf(err, idempotency.Drop(ctx, c.edge.store, organization, key), func() error { return recorded.send(c) })
	}
	encoded, err := json.Marshal(recorded.kept())
	if err != nil {
		return fmt.Errorf("encode the answer: %w", err)
	}
	if err := idempotency.Keep(ctx, c.edge.store, organization, key, encoded); err != nil {
		return fmt.Errorf("keep the answer: %w", err)
	}
	return recorded.send(c)
}

// record runs the handler with its answer held back.
func (c *Call) record(handler func(*Call) error) (*recorder, error) {
	r := c.Response()
	out := r.Writer
	recorded := &recorder{header: out.Header()}
	r.Writer = recorded
	defer func() { r.Writer, r.Committed, r.Size = out, false, 0 }()
	err := handler(c)
	return recorded, err
}

func firstOf(err, then error, last func() error) error {
	switch {
	case err != nil:
		return err
	case then != nil:
		return then
	}
	return last()
}

func (c *Call) replay(kept []byte) error {
	var answer keptAnswer
	if err := json.Unmarshal(kept, &answer); err != nil {
		return fmt.Errorf("read the kept answer: %w", err)
	}
	for name, value := range answer.Header {
		c.Header().Set(name, value)
	}
	if id := answer.Header[headerRequestID]; id != "" {
		c.ID = id
	}
	c.Header().Set("Idempotency-Replayed", "true")
	if len(answer.Body) == 0 {
		return c.NoContent(answer.Status)
	}
	return c.Blob(answer.Status, answer.Header["Content-Type"], answer.Body)
}

// recorder holds an answer back.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (r *recorder) Header() http.Header { return r.header }

func (r *recorder) WriteHeader(status int) { r.status = status }

func (r *recorder) Write(p []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	return r.body.Write(p)
}

func (r *recorder) kept() keptAnswer {
	answer := keptAnswer{Status: r.status, Header: map[string]string{}, Body: r.body.Bytes()}
	for _, name := range keptHeaders {
		if v := r.header.Get(name); v != "" {
			answer.Header[name] = v
		}
	}
	return answer
}

func (r *recorder) send(c *Call) error {
	if r.body.Len() == 0 {
		return c.NoContent(r.status)
	}
	return c.Blob(r.status, r.header.Get("Content-Type"), r.body.Bytes())
}
