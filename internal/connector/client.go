package connector

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"usersync/internal/outbound"
	"usersync/internal/queue"
	"usersync/internal/usersync"
)

// MaxResponse is how many bytes of an answer the HTTP of a Client has to keep.
// Mailchimp answers a batch of 500 members with everything about each of them, which
// is some 2 MB.
const MaxResponse = 8 << 20

// Client makes the calls of one connection, within the limits of its account and
// through its breaker. A connector gets one when it is opened, and makes all its
// calls through it. Hub.Client makes one. A Client that was made without a Hub has
// neither a breaker nor limits that processes share.
type Client struct {
	// HTTP makes the exchange. Its guard checks the common setting baseUrl, and its
	// MaxResponse is the one above.
	HTTP *outbound.Client
	// Connection names the connection, for the breaker.
	Connection string
	// Organization owns the connection. Nothing that connections share goes beyond it.
	Organization string

	hub      *Hub
	breaker  *breaker
	platform Platform
	base     string
	limits   Limits
	account  queue.AccountKey
	byLane   map[string]counted
	// secrets are the credentials, which a platform may repeat in its answers.
	secrets []string
}

// with returns the client as a connector of kind k uses it.
func (c *Client) with(k Platform, common Common, cfg Config) *Client {
	out := *c
	out.platform, out.base, out.limits = k, common.BaseURL, k.Limits
	out.secrets = k.secrets(cfg.Credentials)
	out.account = k.account(c.Organization, common, cfg)
	out.byLane = c.lanes(k, common, cfg)
	if common.MaxConcurrent > 0 {
		out.limits.Concurrent = common.MaxConcurrent
	}
	if common.CallsPerSecond > 0 {
		out.limits.PerSecond, out.limits.Burst = common.CallsPerSecond*spared, 1
	}
	return &out
}

// spared is how much of a rate that an owner sets is used. With it no second holds more
// calls than the rate, even if one call arrives a tenth of a second late.
const spared = 0.9

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

// Do makes one call. If the answer is not a success, it returns the answer and the
// error that Platform.Classify makes of it.
//
// Do waits in line for the limits of the account, as long as ctx allows and 30 s at most.
// If that is not enough, it makes no call and returns the error HeldBack. While the
// platform has the account rest for more than 2 s, it makes no call and returns an error
// of code rate_limited with RetryAfter. While the breaker is open it makes no call and returns an error
// of code unavailable with RetryAfter. An answer that says how long to wait, or that
// no call is left, pauses the account in all processes, for all connections of the
// organization that lead to it. No answer makes anybody wait longer than
// queue.MaxPause.
func (c *Client) Do(ctx context.Context, req *http.Request) (*outbound.Response, error) {
	if err := c.breaker.refusal(); err != nil {
		c.hub.observe(c.platform.Name, "open", 0)
		return nil, fmt.Errorf("check the breaker: %w", err)
	}
	as := c.countedAs(req)
	release, err := c.slot(ctx, as)
	if err != nil {
		c.hub.observe(c.platform.Name, "throttled", 0)
		return nil, err
	}
	defer release()
	response, open, err := c.breaker.run(func() (*outbound.Response, error) { return c.call(ctx, req, as) })
	if open {
		c.hub.observe(c.platform.Name, "open", 0)
	}
	return response, err
}

// call makes a call that may be made.
func (c *Client) call(ctx context.Context, req *http.Request, as counted) (*outbound.Response, error) {
	limited, cancel := context.WithTimeout(ctx, c.timeout())
	defer cancel()
	start := time.Now()
	response, err := c.HTTP.Do(limited, req)
	if err == nil {
		if failure := c.classify(response); failure != nil {
			err = failure
		}
		c.hub.pause(ctx, as.account, restOf(response, err))
	}
	took := time.Since(start)
	outbound.Note(ctx, func() outbound.Made { return c.shown(req, response, took) })
	c.hub.observe(c.platform.Name, outcome(err), took)
	return response, err
}

// timeout bounds one call.
func (c *Client) timeout() time.Duration { return cmp.Or(c.limits.Timeout, defaultTimeout) }

// defaultTimeout applies to a kind that sets no timeout.
const defaultTimeout = 15 * time.Second

// restOf returns for how long an answer asks for rest.
func restOf(r *outbound.Response, err error) time.Duration {
	if err != nil {
		if e := usersync.AsError(err); e.RetryAfter > 0 {
			return e.RetryAfter
		}
	}
	d, _ := outbound.Exhausted(r.Header, time.Now())
	return d
}

func outcome(err error) string {
	switch {
	case err == nil:
		return "ok"
	case errors.Is(err, context.Canceled):
		return "cancelled"
	}
	return string(usersync.CodeOf(err))
}

const (
	// slotWithin is how long a call waits in line at most. A worker that would have to
	// wait for longer is of more use elsewhere, and its call comes again.
	slotWithin = 30 * time.Second
	// slotWait is the shortest RetryAfter of a call that got no slot.
	slotWait = time.Second
	// leaseBeyond is how long a slot outlives the longest call, so that no living
	// process loses its slot.
	leaseBeyond = 10 * time.Second
)

// slot waits in line until the limits allow a call. Its release gives the slot back.
func (c *Client) slot(ctx context.Context, as counted) (release func(), err error) {
	limit := queue.Limit{Concurrent: as.limits.Concurrent, PerSecond: as.limits.PerSecond, Burst: as.limits.Burst}
	release, err = c.hub.acquire(ctx, as.account, limit, c.timeout()+leaseBeyond, c.patience(ctx))
	if held, ok := errors.AsType[*queue.HeldBackError](err); ok {
		return nil, throttled(held)
	}
	if ctx.Err() == nil {
		return release, err
	}
	if release != nil {
		release()
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return nil, HeldBack(0) // no call was made, so nothing is known against the platform
	}
	return nil, ended(ctx)
}

// patience is how long a call may wait in line: as long as its caller has time for it,
// and then for the call itself. A call that began too late would be broken off, and the
// platform would be blamed for it.
func (c *Client) patience(ctx context.Context) time.Duration {
	deadline, bounded := ctx.Deadline()
	if !bounded {
		return slotWithin
	}
	left := time.Until(deadline)
	return min(slotWithin, max(left-c.timeout(), left/2))
}

// ErrHeldBack is the cause of an error of code rate_limited that is nobody's fault: the
// limit that we keep for the account lets no call begin in the caller's time.
var ErrHeldBack = errors.New("connector: held back by the limit of the account")

// HeldBack is the error of what our own limit for an account holds back, for wait.
func HeldBack(wait time.Duration) error {
	e := usersync.Errorf(usersync.CodeRateLimited, "It waits for its turn: the account takes only so many calls.").Because(ErrHeldBack)
	e.RetryAfter = max(wait, slotWait)
	return e
}

func throttled(held *queue.HeldBackError) error {
	if !held.Paused {
		return HeldBack(held.Wait)
	}
	e := usersync.Errorf(usersync.CodeRateLimited, "The platform asked for a rest.")
	e.RetryAfter = max(held.Wait, slotWait)
	return e
}

// ended is the error of a context that has ended.
func ended(ctx context.Context) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return ctx.Err()
	}
	return usersync.Errorf(usersync.CodeUnavailable, "There was no complete answer in time.").Because(ctx.Err())
}

// JSON makes a call with a JSON body. A nil body sends none. The values of header
// are set as they are.
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

// Call makes a call as JSON does, and reads the answer of a success into to. A nil
// to reads nothing.
func (c *Client) Call(ctx context.Context, method, address string, header http.Header, body, to any) (*outbound.Response, error) {
	response, err := c.JSON(ctx, method, address, header, body)
	if err == nil && to != nil {
		err = Decode(response, to)
	}
	return response, err
}

// NotFound reports whether a platform answered that there is no such thing. The
// answer may be nil, as that of a call that got none.
func NotFound(r *outbound.Response) bool { return r != nil && r.Status == http.StatusNotFound }

// PathSegment writes a value as one segment of a path, with @ and + encoded too.
// Some platforms mistake an address that is not encoded for another one.
func PathSegment(value string) string {
	return strings.ReplaceAll(url.QueryEscape(value), "+", "%20")
}

func (c *Client) classify(r *outbound.Response) *usersync.Error {
	if r.Status >= 200 && r.Status < 300 {
		return nil
	}
	for _, secret := range c.secrets { // before Quote cuts one in two
		r.Body = bytes.ReplaceAll(r.Body, []byte(secret), []byte("(secret)"))
	}
	e := c.meaning(r)
	if e == nil {
		return nil
	}
	if e.Code == usersync.CodeRejected && impersonal(r.Status) {
		e = e.Because(ErrEverybody)
	}
	for _, secret := range c.secrets { // that stood escaped in the body
		e.Message = strings.ReplaceAll(e.Message, secret, "(secret)")
	}
	if e.Code == usersync.CodeRateLimited && e.RetryAfter <= 0 {
		e.RetryAfter = throttledFor
	}
	e.RetryAfter = min(e.RetryAfter, queue.MaxPause)
	return e
}

// ErrEverybody is the cause of an error of code rejected for an answer that is about the
// call and hardly about a person: the same call is likely to be refused for everybody.
var ErrEverybody = errors.New("connector: the platform refuses such calls")

// impersonal reports whether an answer says that the call itself is wrong, whatever was
// sent: it was sent to another place, in another way, or by another version of the API
// than the platform takes now, or is larger.
func impersonal(status int) bool {
	switch status {
	case http.StatusMethodNotAllowed, http.StatusNotAcceptable, http.StatusGone, http.StatusLengthRequired, http.StatusRequestEntityTooLarge,
		http.StatusRequestURITooLong, http.StatusUnsupportedMediaType, http.StatusMisdirectedRequest, http.StatusRequestHeaderFieldsTooLarge:
		return true
	}
	return status >= 300 && status < 400
}

// throttledFor is how long to wait after a 429 that does not say. It is HubSpot's
// window, the longest of those that platforms count in seconds.
const throttledFor = 10 * time.Second

func (c *Client) meaning(r *outbound.Response) *usersync.Error {
	if c.platform.Classify != nil {
		return c.platform.Classify(r)
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

// Decode reads a JSON answer. An answer that cannot be read, or was cut short, is an
// error of code unavailable, because nobody knows what the platform did.
func Decode(r *outbound.Response, to any) error {
	if r.Truncated {
		return usersync.Errorf(usersync.CodeUnavailable, "The platform's answer was too long or broke off.")
	}
	if err := json.Unmarshal(r.Body, to); err != nil {
		return usersync.Errorf(usersync.CodeUnavailable, "The platform's answer could not be read.")
	}
	return nil
}
