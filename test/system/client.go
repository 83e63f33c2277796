//go:build unix

package system

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"sync/atomic"
	"time"

	"usersync/internal/credit"
	"usersync/test/services"
)

// Client calls the API as a program of a caller does.
type Client struct {
	// Bases are the API processes, as http://host:port; calls of Do take them in
	// turn.
	Bases []string
	// Header goes with every call.
	Header http.Header

	transport *http.Transport
	turn      atomic.Int64
}

const (
	// answerWithin bounds one call of Do.
	answerWithin = 30 * time.Second
	// askWithin bounds one call of Ask: those that show what became of everything
	// take longer.
	askWithin = 2 * time.Minute
)

// NewClient returns a client with the key of an organization.
func NewClient(key string, bases ...string) *Client {
	return newClient(http.Header{"X-Api-Key": {key}}, bases)
}

// NewOperator returns a client with the token of the operator.
func NewOperator(token string, bases ...string) *Client {
	return newClient(http.Header{"Authorization": {"Bearer " + token}}, bases)
}

func newClient(header http.Header, bases []string) *Client {
	return &Client{Bases: bases, Header: header, transport: &http.Transport{MaxIdleConnsPerHost: 64}}
}

// Leave closes the connections that no call is using.
func (c *Client) Leave() { c.transport.CloseIdleConnections() }

// Call is one call of the API, which may be made again and again.
type Call struct {
	Method, Path string
	// Key is the Idempotency-Key; "" for none.
	Key string
	// Type is the media type of the body; "" is JSON.
	Type string
	Body []byte // nil for none
}

// Answer is what came of a call.
type Answer struct {
	Status     int
	RetryAfter time.Duration // as the header says, 0 without one
	Location   string        // the header
	Body       []byte
	// Sent is when the call that was answered so was made.
	Sent time.Time
}

// Do makes a call once, at the next API process. The error says that there was no
// answer.
func (c *Client) Do(ctx context.Context, call Call) (Answer, error) {
	return c.do(ctx, c.Bases[int(c.turn.Add(1))%len(c.Bases)], answerWithin, call)
}

func (c *Client) do(ctx context.Context, base string, within time.Duration, call Call) (Answer, error) {
	request, err := http.NewRequestWithContext(ctx, call.Method, base+call.Path, bytes.NewReader(call.Body))
	if err != nil {
		return Answer{}, fmt.Errorf("make a call of the API: %w", err)
	}
	request.Header = c.Header.Clone()
	if call.Body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if call.Type != "" {
		request.Header.Set("Content-Type", call.Type)
	}
	if call.Key != "" {
		request.Header.Set("Idempotency-Key", call.Key)
	}
	sent := time.Now()
	response, err := (&http.Client{Transport: c.transport, Timeout: within}).Do(request)
	if err != nil {
		return Answer{}, fmt.Errorf("call the API: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return Answer{}, fmt.Errorf("read the answer to %s %s: %w", call.Method, call.Path, err)
	}
	seconds, _ := strconv.ParseUint(response.Header.Get("Retry-After"), 10, 16) // 0 without one
	return Answer{
		Status: response.StatusCode, RetryAfter: time.Duration(seconds) * time.Second,
		Location: response.Header.Get("Location"), Body: body, Sent: sent,
	}, nil
}

// Again says, of an answer that accepts nothing or of a call without one, whether
// the call is made once more, and after how long.
type Again func(answer Answer, err error) (after time.Duration, again bool)

// Unrelenting is the pause before a repetition by clients whose load must not ease
// while a fault lasts, whatever the answers ask for.
const Unrelenting = 50 * time.Millisecond

// HeedRetryAfter comes back when a refusal says so, as clients in earnest do.
func HeedRetryAfter(answer Answer, err error) (after time.Duration, again bool) {
	return answer.RetryAfter, err == nil && answer.RetryAfter > 0
}

// Insist makes a call, at one API process after the other, until it is accepted
// (202) or again says that it is given up. The error says that it was still not
// accepted after the time.
func (c *Client) Insist(ctx context.Context, within time.Duration, call Call, again Again) (answer Answer, accepted bool, err error) {
	for deadline := time.Now().Add(within); ; {
		answer, err := c.Do(ctx, call)
		if answer.Status == http.StatusAccepted {
			return answer, true, nil
		}
		after, goOn := again(answer, err)
		if !goOn {
			return answer, false, nil
		}
		if time.Now().After(deadline) {
			return answer, false, fmt.Errorf("%s %s: not accepted within %s, last %d %s: %w", call.Method, call.Path, within, answer.Status, answer.Body, err)
		}
		if err := services.Sleep(ctx, after); err != nil {
			return answer, false, fmt.Errorf("wait to make %s %s again: %w", call.Method, call.Path, err)
		}
	}
}

// Ask makes a call that must succeed at the first API process, and decodes the
// answer into out; nil is no body, and an answer of no interest.
func (c *Client) Ask(ctx context.Context, method, path string, body, out any) error {
	call := Call{Method: method, Path: path}
	if body != nil {
		call.Body = encode(body)
	}
	answer, err := c.do(ctx, c.Bases[0], askWithin, call)
	if err != nil {
		return err
	}
	if answer.Status >= 300 {
		return fmt.Errorf("%s %s: answered with %d %s", method, path, answer.Status, answer.Body)
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(answer.Body, out); err != nil {
		return fmt.Errorf("decode the answer to %s %s: %w\n%s", method, path, err, answer.Body)
	}
	return nil
}

// encode encodes a body that a test made.
func encode(body any) []byte {
	text, err := json.Marshal(body)
	if err != nil {
		panic(err) // of strings and numbers
	}
	return text
}

// pageOf is how many items of a list are asked for at once.
const pageOf = 500

// List returns all items of a list, page by page.
func List[T any](ctx context.Context, c *Client, path string) ([]T, error) {
	var all []T
	for cursor := ""; ; {
		var page struct {
			Items      []T    `json:"items"`
			NextCursor string `json:"nextCursor"`
		}
		if err := c.Ask(ctx, http.MethodGet, fmt.Sprintf("%s?limit=%d&cursor=%s", path, pageOf, url.QueryEscape(cursor)), nil, &page); err != nil {
			return nil, err
		}
		all = append(all, page.Items...)
		if cursor = page.NextCursor; cursor == "" {
			return all, nil
		}
	}
}

// Ledger returns the ledger of the client's organization, newest first.
func (c *Client) Ledger(ctx context.Context) ([]credit.Entry, error) {
	return List[credit.Entry](ctx, c, "/v1/credits/ledger")
}

// Endpoint is a webhook endpoint that was made.
type Endpoint struct {
	ID     string `json:"id"`
	Secret string `json:"secret"`
}

// AddEndpoint makes a webhook endpoint that is told of messages of some types,
// "*" for all.
func (c *Client) AddEndpoint(ctx context.Context, url string, types ...string) (Endpoint, error) {
	var made Endpoint
	return made, c.Ask(ctx, http.MethodPost, "/v1/webhook-endpoints", map[string]any{"url": url, "eventTypes": types}, &made)
}

// Configure sets settings of an organization; c is an operator's client.
func (c *Client) Configure(ctx context.Context, organization string, settings map[string]any) error {
	return c.Ask(ctx, http.MethodPatch, "/admin/v1/organizations/"+organization, map[string]any{"settings": settings}, nil)
}

// User is what the native dialect takes.
type User struct {
	Email      string `json:"email"`
	Country    string `json:"country"`
	FirstName  string `json:"firstName,omitempty"`
	LastName   string `json:"lastName,omitempty"`
	Name       string `json:"name,omitempty"`
	JobTitle   string `json:"jobTitle,omitempty"`
	InviteLink string `json:"inviteLink,omitempty"`
}

// SyncCall returns the call that sends users: by the form for many when there are
// several.
func SyncCall(users ...User) Call {
	if len(users) > 1 {
		return BatchCall(users...)
	}
	return Call{Method: http.MethodPost, Path: "/v1/user-sync", Body: encode(map[string]any{"user": users[0]})}
}

// BatchCall returns the call that sends users by the form for many.
func BatchCall(users ...User) Call {
	return Call{Method: http.MethodPost, Path: "/v1/user-sync/batch", Body: encode(map[string]any{"users": users})}
}

// Result is what an acceptance says of one user.
type Result struct {
	RequestID string `json:"requestId"`
	UserID    string `json:"userId"`
}

var errResults = errors.New("the answer has not one request for each user")

// Results returns what the answer to a SyncCall for so many users says of each.
func (a Answer) Results(users int) ([]Result, error) {
	var got struct {
		Result
		Results []Result `json:"results"`
	}
	if err := json.Unmarshal(a.Body, &got); err != nil {
		return nil, fmt.Errorf("decode an acceptance: %w\n%s", err, a.Body)
	}
	if got.Results == nil {
		got.Results = []Result{got.Result}
	}
	if len(got.Results) != users {
		return nil, fmt.Errorf("%w: %d users, %s", errResults, users, a.Body)
	}
	for _, r := range got.Results {
		if r.RequestID == "" || r.UserID == "" {
			return nil, fmt.Errorf("%w: %s", errResults, a.Body)
		}
	}
	return got.Results, nil
}
