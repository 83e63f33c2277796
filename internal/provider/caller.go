package provider

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/sony/gobreaker/v2"

	"usersync/internal/outbound"
	"usersync/internal/usersync"
)

// Caller makes the calls to one account: none while the provider wants to be left alone or
// does not answer. It is safe for concurrent use. Make it by NewCaller.
type Caller struct {
	http    *outbound.Client
	circuit *gobreaker.CircuitBreaker[*outbound.Response]

	mu   sync.Mutex
	held time.Time // until when the provider wants to be left alone
}

const (
	// opensAfter is after how many failures in a row a circuit opens, opensFor for how
	// long. Then one call tries.
	opensAfter = 5
	opensFor   = 10 * time.Second
	// heldFor is how long a provider is left alone that does not say.
	heldFor = time.Second
	// MaxAnswer bounds an answer in bytes.
	MaxAnswer = 1 << 20
)

// NewCaller returns a Caller whose calls client makes.
func NewCaller(client *outbound.Client) *Caller {
	return &Caller{http: client, circuit: gobreaker.NewCircuitBreaker[*outbound.Response](gobreaker.Settings{
		Timeout:     opensFor,
		ReadyToTrip: func(c gobreaker.Counts) bool { return c.ConsecutiveFailures >= opensAfter },
		// Any answer shows that the provider is there, refusals included.
		IsSuccessful: func(err error) bool { return usersync.CodeOf(err) != usersync.CodeUnavailable },
		IsExcluded:   func(err error) bool { return errors.Is(err, context.Canceled) },
	})}
}

// The errors of a Caller, in words that hold for every provider.
var (
	errOpen = usersync.Errorf(usersync.CodeUnavailable, "The provider did not answer several times in a row. It is not asked for a while.")
	errRead = usersync.Errorf(usersync.CodeUnavailable, "The provider's answer cannot be read.")
)

// Do makes a call. An answer comes back when its status is 2xx. Otherwise the error has the
// code that follows from the status.
func (c *Caller) Do(ctx context.Context, request *http.Request) (*outbound.Response, error) {
	if wait := c.heldBack(); wait > 0 {
		return nil, throttled(wait)
	}
	response, err := c.circuit.Execute(func() (*outbound.Response, error) {
		response, err := c.http.Do(ctx, request)
		if err != nil {
			return response, fmt.Errorf("call the provider: %w", err)
		}
		return response, c.judge(response)
	})
	if errors.Is(err, gobreaker.ErrOpenState) || errors.Is(err, gobreaker.ErrTooManyRequests) {
		return nil, errOpen
	}
	return response, err
}

// judge returns the error that follows from an answer's status, nil for none.
func (c *Caller) judge(r *outbound.Response) error {
	code := outbound.CodeOfStatus(r.Status)
	switch {
	case code == "" && r.Truncated:
		return errRead
	case code == "":
		return nil
	case code == usersync.CodeRateLimited:
		wait, ok := outbound.RetryAfter(r.Header, time.Now())
		if !ok {
			wait = heldFor
		}
		return c.Hold(wait)
	}
	return usersync.Errorf(code, "The provider answered with status %d.", r.Status)
}

// Hold leaves the provider alone for a while, and returns the error that says so.
func (c *Caller) Hold(wait time.Duration) error {
	wait = max(wait, heldFor)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.held = time.Now().Add(wait)
	return throttled(wait)
}

func (c *Caller) heldBack() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Until(c.held)
}

func throttled(wait time.Duration) error {
	e := usersync.Errorf(usersync.CodeRateLimited, "The provider has had too many calls.")
	e.RetryAfter = wait
	return e
}

// Decode reads a JSON answer into to. Numbers keep their digits.
func Decode(r *outbound.Response, to any) error {
	decoder := json.NewDecoder(bytes.NewReader(r.Body))
	decoder.UseNumber()
	if err := decoder.Decode(to); err != nil {
		return errRead // the decoder's error may quote the answer
	}
	return nil
}

// Text returns a JSON value as a text: "" for what is no text, number or truth.
func Text(value any) string {
	switch v := value.(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	case bool:
		return fmt.Sprint(v)
	}
	return ""
}
