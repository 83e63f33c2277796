package connector

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"

	"usersync/internal/outbound"
	"usersync/internal/usersync"
)

// Client makes the calls of one connection: within the limits of its account
// and through its breaker. A connector gets it when it is opened and makes no
// call past it.
type Client struct {
	// HTTP makes the exchange. Its guard checks the common setting baseUrl.
	HTTP *outbound.Client
	// Connection names the connection: for the breaker.
	Connection string

	kind   Kind
	base   string
	limits Limits
	facts  Facts
	// secrets are the credentials, which a platform may repeat in its answers.
	secrets []string
}

// with returns the client as a connector of kind k uses it.
func (c *Client) with(k Kind, common Common, cfg Config) *Client {
	out := *c
	out.kind, out.base, out.limits, out.facts = k, common.BaseURL, k.Limits, cfg.Facts
	out.secrets = k.secrets(cfg.Credentials)
	if common.MaxConcurrent > 0 {
		out.limits.Concurrent = common.MaxConcurrent
	}
	if common.CallsPerSecond > 0 {
		out.limits.PerSecond = common.CallsPerSecond
	}
	return &out
}

func (c *Client) guard() *outbound.Guard {
	if c.HTTP == nil || c.HTTP.Guard == nil {
		return &outbound.Guard{}
	}
	return c.HTTP.Guard
}

// CheckURL takes an address that a setting names, see outbound.Guard.
func (c *Client) CheckURL(raw string) (*url.URL, error) { return c.guard().CheckURL(raw) }

// Limits are those in force, for connectors that make several calls at once.
func (c *Client) Limits() Limits { return c.limits }

// URL returns the address of a path at the platform, whose API is at base unless
// the connection names another.
func (c *Client) URL(base, path string) string {
	if c.base != "" {
		base = c.base
	}
	return strings.TrimRight(base, "/") + path
}

// Do makes one call. For an answer that is no success it returns the answer and
// what Kind.Classify makes of it.
func (c *Client) Do(ctx context.Context, req *http.Request) (*outbound.Response, error) {
	response, err := c.HTTP.Do(ctx, req)
	if err != nil {
		return response, err
	}
	if failure := c.classify(response); failure != nil {
		return response, failure
	}
	return response, nil
}

// JSON makes a call with a JSON body; nil sends none. Header's values are set as
// they are.
func (c *Client) JSON(ctx context.Context, method, address string, header http.Header, body any) (*outbound.Response, error) {
	var text []byte
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			return nil, usersync.Errorf(usersync.CodeInternal, "The call cannot be written.").Because(err)
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(text))
	if err != nil {
		return nil, usersync.Errorf(usersync.CodeInvalid, "The platform's address is not valid.")
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	for name, values := range header {
		req.Header[name] = values
	}
	return c.Do(ctx, req)
}

func (c *Client) classify(r *outbound.Response) *usersync.Error {
	if r.Status >= 200 && r.Status < 300 {
		return nil
	}
	e := c.meaning(r)
	if e == nil {
		return nil
	}
	for _, secret := range c.secrets {
		e.Message = strings.ReplaceAll(e.Message, secret, "(secret)")
	}
	if e.Code == usersync.CodeRateLimited && e.RetryAfter <= 0 {
		e.RetryAfter = throttledFor
	}
	return e
}

// throttledFor is how long to wait after a 429 that does not say: as long as the
// longest of the platforms' windows that are counted in seconds, HubSpot's.
const throttledFor = 10 * time.Second

func (c *Client) meaning(r *outbound.Response) *usersync.Error {
	if c.kind.Classify != nil {
		return c.kind.Classify(r)
	}
	return Classify(r, "")
}

// Classify is what an answer means by its status and headers alone, in the
// platform's own words where it gave some.
func Classify(r *outbound.Response, said string) *usersync.Error {
	code := outbound.CodeOfStatus(r.Status)
	if code == "" {
		return nil
	}
	e := usersync.Errorf(code, "The platform answered %d.", r.Status)
	if said = Quote(said); said != "" {
		e.Message = said
	}
	if code == usersync.CodeRateLimited || code == usersync.CodeUnavailable {
		e.RetryAfter, _ = outbound.RetryAfter(r.Header, time.Now())
	}
	return e
}

// Decode reads a JSON answer. What cannot be read, or was cut short, is
// unavailable: nobody knows what the platform did.
func Decode(r *outbound.Response, to any) error {
	if r.Truncated {
		return usersync.Errorf(usersync.CodeUnavailable, "The platform's answer was too long or broke off.")
	}
	if err := json.Unmarshal(r.Body, to); err != nil {
		return usersync.Errorf(usersync.CodeUnavailable, "The platform's answer could not be read.")
	}
	return nil
}
