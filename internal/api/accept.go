package api

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/url"
	"strconv"
	"strings"
	"time"

	"usersync/internal/idempotency"
	"usersync/internal/intake"
	"usersync/internal/request"
	"usersync/internal/telemetry"
	"usersync/internal/user"
	"usersync/internal/usersync"
)

// Repeated reports whether a call was accepted before with the Idempotency-Key of this one,
// so that Submit replays that one, or refuses this one where it says something else. A
// handler that asks others before it submits need not ask them again.
func (c *Call) Repeated() (bool, error) {
	key, err := c.Idempotency()
	if err != nil || key == nil {
		return false, err
	}
	return idempotency.Held(c.ctx, c.Caller.Org, *key)
}

// maxIdempotencyKey is the longest Idempotency-Key in bytes.
const maxIdempotencyKey = 255

// Idempotency returns the idempotency key of the call, nil when the header
// Idempotency-Key is not sent. The key has 1 to 255 visible ASCII characters. It
// may be quoted, as the draft of the header requires, or bare.
func (c *Call) Idempotency() (*idempotency.Key, error) {
	sent := c.Request().Header.Values("Idempotency-Key")
	if len(sent) == 0 {
		return nil, nil
	}
	key, ok := parseIdempotencyKey(sent)
	if !ok {
		return nil, usersync.Errorf(usersync.CodeInvalid, "Idempotency-Key must be 1 to 255 visible ASCII characters, quoted or bare.")
	}
	body, err := c.Body()
	if err != nil {
		return nil, fmt.Errorf("read the body: %w", err)
	}
	query, err := c.queryWithoutKey()
	if err != nil {
		return nil, fmt.Errorf("read the query: %w", err)
	}
	k := idempotency.NewKey(c.Caller.Organization.Salt, idempotency.Said{
		Method: c.Request().Method, Path: c.Request().URL.Path, Key: key, Body: body, Query: query,
	})
	return &k, nil
}

func parseIdempotencyKey(sent []string) (key string, ok bool) {
	if len(sent) != 1 {
		return "", false
	}
	key = strings.TrimSpace(sent[0])
	if strings.HasPrefix(key, `"`) {
		if len(key) < 2 || !strings.HasSuffix(key, `"`) {
			return "", false
		}
		key = key[1 : len(key)-1]
	}
	if key == "" || len(key) > maxIdempotencyKey {
		return "", false
	}
	for i := range len(key) {
		if key[i] <= ' ' || key[i] > '~' {
			return "", false
		}
	}
	return key, true
}

// queryWithoutKey returns the query in one order, without the API key that callers of
// some dialects put there.
func (c *Call) queryWithoutKey() (string, error) {
	query, err := c.Query()
	if err != nil {
		return "", err
	}
	rest := make(url.Values, len(query))
	for name, values := range query {
		if name != "apiKey" {
			rest[name] = values
		}
	}
	return rest.Encode(), nil
}

// Acceptance returns a request of kind for a user of the caller, to hand to
// Submit. id is the request's own id; a single request has the call's id.
func (c *Call) Acceptance(kind request.Kind, id string, in usersync.UserInput) *intake.Acceptance {
	return &intake.Acceptance{
		RequestID: id, Kind: kind, Salt: c.Caller.Organization.Salt, Traceparent: c.Traceparent(),
		User: intake.NewUser{UserInput: in, Identity: user.IdentityOf(in)},
	}
}

// Asking returns a request of a kind with the id of the call and the input in. It
// is about the user userID, or about no single user when that is "".
func (c *Call) Asking(kind request.Kind, userID string, email usersync.Email, in any) (*intake.Acceptance, error) {
	input, err := json.Marshal(in)
	if err != nil {
		return nil, fmt.Errorf("encode what is asked for: %w", err)
	}
	return &intake.Acceptance{
		RequestID: c.ID, Kind: kind, Traceparent: c.Traceparent(), Input: input,
		UserID: userID, User: intake.NewUser{UserInput: usersync.UserInput{Email: email}},
	}, nil
}

// Submit submits requests and returns when they are committed. Refused holds, by
// position, why the others of the call are not submitted. The submission's
// Accepted lists what was accepted by this call, or by the earlier call that it
// replays; then the answer has the header Idempotency-Replayed.
func (c *Call) Submit(items []*intake.Acceptance, refused map[int]string) (*intake.Submission, error) {
	idempotency, err := c.Idempotency()
	if err != nil {
		return nil, fmt.Errorf("read the idempotency key: %w", err)
	}
	if idempotency != nil {
		idempotency.Refused = refused
	}
	sub := &intake.Submission{Organization: c.Caller.Key.Organization, KeyID: c.Caller.Key.ID, Scope: c.route.Scope, Idempotency: idempotency, Items: items}
	if err := c.edge.batcher.Submit(c.ctx, sub); err != nil {
		return nil, fmt.Errorf("submit the requests: %w", err)
	}
	if sub.Replayed {
		c.Header().Set("Idempotency-Replayed", "true")
		telemetry.Add(c.ctx, slog.Bool("replayed", true))
	}
	if len(items) == 1 && items[0].RequestID == c.ID && len(sub.Accepted) == 1 {
		c.rename(sub.Accepted[0].RequestID)
	}
	return sub, nil
}

// MaxWait is the longest wait that Prefer may ask for.
const MaxWait = 30 * time.Second

// Wait returns how long the caller would wait for the work to be done: the
// preference wait of the header Prefer (RFC 7240 §4.3), at most MaxWait; ok is
// false when it is not asked for. What cannot be read is ignored (§2).
func (c *Call) Wait() (wait time.Duration, ok bool) {
	return parsePrefer(c.Request().Header.Values("Prefer"))
}

func parsePrefer(headers []string) (wait time.Duration, ok bool) {
	for _, header := range headers {
		for preference := range strings.SplitSeq(header, ",") {
			preference, _, _ = strings.Cut(preference, ";")
			name, value, _ := strings.Cut(preference, "=")
			if !strings.EqualFold(strings.TrimSpace(name), "wait") {
				continue
			}
			// The first of several equal preferences counts (§2).
			n, err := strconv.ParseUint(strings.Trim(strings.TrimSpace(value), `"`), 10, 31)
			if err != nil {
				return 0, false
			}
			return min(time.Duration(n)*time.Second, MaxWait), true
		}
	}
	return 0, false
}

// Report returns a request of the caller's organization as it is when it is
// finished, when it waits for nothing but connections that rest, or when the wait that the
// caller prefers is over.
func (c *Call) Report(id string) (*request.View, error) {
	wait, ok := c.Wait()
	if !ok {
		return request.Get(c.ctx, c.Caller.Org, id)
	}
	report, waits, err := c.reportWithin(id, wait)
	if waits && err == nil {
		c.Header().Set("Preference-Applied", "wait="+strconv.Itoa(int(wait/time.Second)))
	}
	return report, err
}

// Await is Report for a route whose calls wait for unasked when they send no
// preference. Prefer: respond-async (RFC 7240 §4.1) is answered at once.
func (c *Call) Await(id string, unasked time.Duration) (*request.View, error) {
	if _, ok := c.Wait(); ok {
		return c.Report(id)
	}
	if prefersAsync(c.Request().Header.Values("Prefer")) {
		c.Header().Set("Preference-Applied", "respond-async")
		return request.Get(c.ctx, c.Caller.Org, id)
	}
	report, _, err := c.reportWithin(id, unasked)
	return report, err
}

func prefersAsync(headers []string) bool {
	for _, header := range headers {
		for preference := range strings.SplitSeq(header, ",") {
			name, _, _ := strings.Cut(preference, ";")
			if strings.EqualFold(strings.TrimSpace(name), "respond-async") {
				return true
			}
		}
	}
	return false
}

// reportWithin returns a request when it is finished, rests, or the wait is over; waits
// is false when too many calls wait already.
func (c *Call) reportWithin(id string, wait time.Duration) (report *request.View, waits bool, err error) {
	until := time.Now().Add(wait)
	for { //lint:loop goes on when it is told that a part of the request rests
		// The wait is registered before the request is read: otherwise the request could
		// finish between the two, and the wait would miss it.
		finished, forget, waits := c.edge.waiters.Register(request.Ref{Organization: c.Caller.Org.ID(), ID: id})
		report, err = request.Get(c.ctx, c.Caller.Org, id)
		left := time.Until(until)
		if err != nil || !waits || report.Status.Final() || report.Rests() || left <= 0 {
			forget()
			return report, waits, err
		}
		told := c.edge.waiters.Wait(c.ctx, finished, left)
		forget()
		if !told {
			report, err = request.Get(c.ctx, c.Caller.Org, id)
			return report, waits, err
		}
	}
}
