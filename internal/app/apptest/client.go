package apptest

import (
	"bytes"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// Call is an HTTP call as a client makes it.
type Call struct {
	Method string
	Path   string // with the query
	Header http.Header
	Body   []byte
}

// Answer is the answer to a call.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// Client calls a running App and compares every answer with the description of the
// API. The test fails if an answer differs from it.
type Client struct {
	base        string
	http        *http.Client
	description *Description

	mu   sync.Mutex
	seen map[string]bool
}

// callWithin is the timeout of a call. It is more than the longest wait that a call
// may ask for.
const callWithin = 45 * time.Second

// Client returns a client of the App's API.
func (r *Running) Client(t *testing.T) *Client {
	t.Helper()
	d, err := Describe()
	if err != nil {
		t.Fatal("the description: ", err)
	}
	transport := &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 16, ExpectContinueTimeout: callWithin}
	t.Cleanup(transport.CloseIdleConnections)
	noRedirect := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &Client{
		base: r.Addr(), description: d, seen: map[string]bool{},
		http: &http.Client{Transport: transport, Timeout: callWithin, CheckRedirect: noRedirect},
	}
}

// Do makes a call and returns the answer, checked.
func (c *Client) Do(t *testing.T, call Call) Answer {
	t.Helper()
	a := c.send(t, call)
	route, faults := c.description.Check(call, a)
	c.note(route + " " + strconv.Itoa(a.Status))
	for _, fault := range faults {
		t.Errorf("%s %s answered %d, not as described: %s\n%s", call.Method, call.Path, a.Status, fault, short(a.Body))
	}
	return a
}

// Writes returns the described management calls that change something.
func (c *Client) Writes() []Write { return c.description.Writes() }

// CheckWebhook compares a webhook with the description.
func (c *Client) CheckWebhook(t *testing.T, r Received) {
	t.Helper()
	c.note(webhook + r.Type())
	for _, fault := range c.description.CheckWebhook(r) {
		t.Errorf("the webhook %s is not as described: %s\n%s", r.Type(), fault, short(r.Body))
	}
}

func (c *Client) note(answer string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen[answer] = true
}

func (c *Client) send(t *testing.T, call Call) Answer {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), call.Method, c.base+call.Path, bytes.NewReader(call.Body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header = call.Header.Clone()
	if announced := call.Header.Get("Content-Length"); announced != "" {
		// This body is only announced. Expect keeps it from being sent.
		if request.ContentLength, err = strconv.ParseInt(announced, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	response, err := c.http.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return Answer{Status: response.StatusCode, Header: response.Header, Body: body}
}

// Unseen returns the described answers and webhooks that this client never got. It
// leaves out answers with a status of except.
func (c *Client) Unseen(except ...string) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.DeleteFunc(c.description.Answers(), func(answer string) bool {
		status := answer[strings.LastIndexByte(answer, ' ')+1:]
		return c.seen[answer] || slices.Contains(except, status)
	})
}

// short returns the beginning of a body, for messages.
func short(body []byte) string {
	const limit = 2000
	if len(body) <= limit {
		return string(body)
	}
	return string(body[:limit]) + "…"
}
