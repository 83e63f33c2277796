//go:build unix

package system

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"usersync/internal/usersync"
)

// Tenant is an organization under test, with a receiver of its webhooks.
type Tenant struct {
	*Receiver
	Organization string
	// Endpoint is the webhook endpoint of the receiver.
	Endpoint string
	Key      string
	// Bases are the API processes; calls take them in turn.
	Bases []string
	// Env is the environment of the command line.
	Env []string

	// HTTP makes the calls.
	HTTP *http.Client

	turn atomic.Int64
}

// NewTenant returns a tenant of an organization that there is.
func NewTenant(t *testing.T, organization, key string, env []string, bases ...string) *Tenant {
	t.Helper()
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	t.Cleanup(transport.CloseIdleConnections)
	return &Tenant{
		Receiver: NewReceiver(t), Organization: organization, Key: key, Env: env, Bases: bases,
		HTTP: &http.Client{Transport: transport, Timeout: 30 * time.Second},
	}
}

// Leave closes the connections to the API that no call is using.
func (n *Tenant) Leave() { n.HTTP.CloseIdleConnections() }

// Post makes one call at the next API process, with an Idempotency-Key when there
// is one, and returns the answer; err says that there was none.
func (n *Tenant) Post(path, key string, body []byte) (status int, answer []byte, err error) {
	base := n.Bases[int(n.turn.Add(1))%len(n.Bases)]
	request, err := http.NewRequest(http.MethodPost, base+path, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	request.Header.Set("X-API-Key", n.Key)
	request.Header.Set("Content-Type", "application/json")
	if key != "" {
		request.Header.Set("Idempotency-Key", key)
	}
	response, err := n.HTTP.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = response.Body.Close() }()
	if answer, err = io.ReadAll(response.Body); err != nil {
		return 0, nil, err // cut off in the middle
	}
	return response.StatusCode, answer, nil
}

// callWithin bounds the calls that show what became of everything.
const callWithin = 2 * time.Minute

// Call makes one call with the organization's key at the first API process.
func (n *Tenant) Call(t *testing.T, method, path string, body, out any) {
	t.Helper()
	encoded, err := json.Marshal(body)
	Must(t, err)
	request, err := http.NewRequestWithContext(t.Context(), method, n.Bases[0]+path, bytes.NewReader(encoded))
	Must(t, err)
	request.Header.Set("X-API-Key", n.Key)
	request.Header.Set("Content-Type", "application/json")
	response, err := (&http.Client{Transport: n.HTTP.Transport, Timeout: callWithin}).Do(request)
	Must(t, err)
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	Must(t, err)
	if response.StatusCode >= 300 {
		t.Fatalf("%s %s: %s %s", method, path, response.Status, text)
	}
	Must(t, json.Unmarshal(text, out))
}

// Subscribe makes the endpoint of the receiver.
func (n *Tenant) Subscribe(t *testing.T) {
	t.Helper()
	var made struct {
		ID     string `json:"id"`
		Secret string `json:"secret"`
	}
	n.Call(t, http.MethodPost, "/v1/webhook-endpoints", map[string]any{"url": n.URL, "eventTypes": []string{"*"}}, &made)
	n.Endpoint = made.ID
	n.Signed(usersync.NewSecret(made.Secret))
}

// TopUp adds credits by the command line.
func (n *Tenant) TopUp(t *testing.T, amount int) {
	t.Helper()
	var entry usersync.Entry
	Command(t, n.Env, &entry, "credits", "add", n.Organization, fmt.Sprint(amount), "--reference", "e2e")
}

// Reports lists all requests of the organization, page by page.
func (n *Tenant) Reports(t *testing.T) map[string]usersync.Report {
	t.Helper()
	out := map[string]usersync.Report{}
	for cursor := ""; ; {
		var page struct {
			Items      []usersync.Report `json:"items"`
			NextCursor string            `json:"nextCursor"`
		}
		n.Call(t, http.MethodGet, "/v1/requests?limit=500&cursor="+url.QueryEscape(cursor), nil, &page)
		for _, r := range page.Items {
			out[r.RequestID] = r
		}
		if cursor = page.NextCursor; cursor == "" {
			return out
		}
	}
}

// AuditWebhooks checks that each message of a request came, under one id, and
// that the service knows it.
func (n *Tenant) AuditWebhooks(f *Faults, r usersync.Report) {
	n.mu.Lock()
	defer n.mu.Unlock()
	want := []usersync.MessageType{usersync.MessageCompleted}
	if r.Colleagues != nil && r.Colleagues.Found > 0 {
		want = append(want, usersync.MessageColleaguesFound)
	}
	delivered := map[usersync.MessageType]string{}
	for _, w := range r.Webhooks {
		if w.EndpointID != n.Endpoint {
			continue
		}
		delivered[w.Type] = w.ID
		if w.Status != usersync.DeliveryDelivered {
			f.Add("delivery has not arrived", "%s of %s is %s after %d attempts", w.Type, r.RequestID, w.Status, w.Attempts)
		}
	}
	for _, kind := range want {
		h := n.got[HookKey{r.RequestID, kind}]
		switch {
		case h == nil:
			f.Add("webhook never came", "%s of %s", kind, r.RequestID)
		case len(h.IDs) != 1 || h.IDs[delivered[kind]] == 0:
			f.Add("webhook came under another id", "%s of %s: %v, want %s", kind, r.RequestID, h.IDs, delivered[kind])
		case h.Report.Credits.Charged != r.Credits.Charged || Ends(kind) && h.Report.Status != r.Status:
			f.Add("webhook tells another end", "%s of %s: %s and %d credits, want %s and %d",
				kind, r.RequestID, h.Report.Status, h.Report.Credits.Charged, r.Status, r.Credits.Charged)
		}
	}
	if len(delivered) != len(want) {
		f.Add("wrong number of messages", "%s: %v, want %v", r.RequestID, delivered, want)
	}
}
