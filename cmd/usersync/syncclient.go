package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"time"

	"usersync/internal/usersync"
)

const (
	// callWithin bounds one call.
	callWithin = 2 * time.Minute
	// patience is how long a call is repeated that is not answered usefully.
	patience = 10 * time.Minute
	// longestPause bounds the pause before a repetition that the service does
	// not ask for.
	longestPause = 30 * time.Second
)

// syncClient calls the service.
type syncClient struct {
	base     string
	key      usersync.Secret
	http     *http.Client
	patience time.Duration
	// tell says to the person what a call waits for; nil for nobody.
	tell func(string)
}

func newSyncClient() *syncClient {
	return &syncClient{patience: patience, http: &http.Client{
		Timeout: callWithin, Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, MaxIdleConnsPerHost: 64},
		// The key goes to the address that was given, and to no other.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// answer is what the service said.
type answer struct {
	status int
	body   []byte
	after  time.Duration // Retry-After
}

// callError is an answer that repeating does not change.
type callError struct {
	status  int
	message string
}

func (e *callError) Error() string { return fmt.Sprintf("%s (HTTP %d)", e.message, e.status) }

// call makes a call, again and again while the service cannot take it.
func (c *syncClient) call(ctx context.Context, method, path, idempotencyKey string, body []byte) (answer, error) {
	deadline := time.Now().Add(c.patience)
	for pause := time.Second; ; pause = min(2*pause, longestPause) {
		a, err := c.once(ctx, method, path, idempotencyKey, body)
		if ctx.Err() != nil {
			return a, context.Cause(ctx)
		}
		if err == nil && !again(a.status) {
			return a, nil
		}
		wait := pause
		if a.after > 0 {
			wait = a.after
		}
		if time.Now().Add(wait).After(deadline) {
			if err == nil {
				err = a.err()
			}
			return a, fmt.Errorf("gave up after %s: %w", c.patience, err)
		}
		c.tellOfWait(a, err, deadline)
		select {
		case <-ctx.Done():
			return a, context.Cause(ctx)
		case <-time.After(wait):
		}
	}
}

// tellOfWait says why a call is to be repeated, and until when it is. The service's own
// limit of calls is no news.
func (c *syncClient) tellOfWait(a answer, err error, until time.Time) {
	if c.tell == nil || a.status == http.StatusTooManyRequests {
		return
	}
	if err == nil {
		err = a.err()
	}
	c.tell(fmt.Sprintf("no answer that helps: %v; trying again until %s", err, until.Format(time.TimeOnly)))
}

// again reports whether a call may be answered otherwise later. 409 is the race
// of a call with its own repetition.
func again(status int) bool {
	return status >= 500 || status == http.StatusTooManyRequests || status == http.StatusConflict
}

func (c *syncClient) once(ctx context.Context, method, path, idempotencyKey string, body []byte) (answer, error) {
	request, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader(body))
	if err != nil {
		return answer{}, fmt.Errorf("make the call: %w", err)
	}
	request.Header.Set("X-API-Key", c.key.Reveal())
	request.Header.Set("User-Agent", "usersync-sync")
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set("Idempotency-Key", idempotencyKey)
	}
	response, err := c.http.Do(request)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return answer{}, fmt.Errorf("read the answer: %w", err)
	}
	seconds, _ := strconv.Atoi(response.Header.Get("Retry-After"))
	return answer{response.StatusCode, text, time.Duration(seconds) * time.Second}, nil
}

// err returns what an answer that is none of those wanted says.
func (a answer) err() error {
	var said struct {
		Error string `json:"error"`
	}
	if json.Unmarshal(a.body, &said) != nil || said.Error == "" {
		said.Error = "the service answered " + http.StatusText(a.status)
	}
	return &callError{a.status, said.Error}
}

// place is where in a batch an error is; people look for the line.
var place = regexp.MustCompile(`^users\[\d+\][. ]`)

// sendBatch has the service accept a batch. The key of the call derives from
// what is sent, so that a repetition, in this run or the next, accepts nothing twice.
func (c *syncClient) sendBatch(ctx context.Context, hash string, b batch) (journalEntry, error) {
	entry := journalEntry{First: b.lines[0]}
	body, err := json.Marshal(map[string]any{"users": b.users})
	if err != nil {
		return entry, fmt.Errorf("encode the batch: %w", err)
	}
	a, err := c.call(ctx, http.MethodPost, "/v1/user-sync/batch", hash+"-"+strconv.FormatInt(entry.First, 10), body)
	if err != nil {
		return entry, fmt.Errorf("send the batch: %w", err)
	}
	var said struct {
		Results []struct {
			RequestID string `json:"requestId"`
			Error     string `json:"error"`
		} `json:"results"`
	}
	// 400 with results: every user of the batch is refused.
	wanted := a.status == http.StatusAccepted || a.status == http.StatusBadRequest
	if !wanted || json.Unmarshal(a.body, &said) != nil || len(said.Results) != len(b.users) {
		return entry, a.err()
	}
	for i, r := range said.Results {
		if r.RequestID != "" {
			entry.Requests = append(entry.Requests, r.RequestID)
			continue
		}
		entry.Refused = append(entry.Refused, refusal{b.lines[i], place.ReplaceAllString(r.Error, "")})
	}
	return entry, nil
}
