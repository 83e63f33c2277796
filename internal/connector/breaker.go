package connector

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/sony/gobreaker/v2"

	"usersync/internal/outbound"
	"usersync/internal/usersync"
)

// These bounds say when a breaker opens and for how long. After that one call tries
// whether it may close.
const (
	opensAfter = 5 // failures in a row
	opensFor   = 30 * time.Second
	// trialWait is how long other calls wait while that one call is under way.
	trialWait = 5 * time.Second
)

// breaker stops a connection from making call after call while its platform is away.
// A nil breaker never opens.
type breaker struct {
	circuit *gobreaker.CircuitBreaker[*outbound.Response]
	until   atomic.Int64 // when it half opens, in Unix nanoseconds
}

func newBreaker() *breaker {
	b := &breaker{}
	b.circuit = gobreaker.NewCircuitBreaker[*outbound.Response](gobreaker.Settings{
		Timeout:     opensFor,
		ReadyToTrip: func(c gobreaker.Counts) bool { return c.ConsecutiveFailures >= opensAfter },
		// Any answer of the platform shows that it is there, refusals included.
		IsSuccessful: func(err error) bool { return usersync.CodeOf(err) != usersync.CodeUnavailable },
		IsExcluded:   func(err error) bool { return errors.Is(err, context.Canceled) },
		OnStateChange: func(_ string, _, to gobreaker.State) {
			if to == gobreaker.StateOpen {
				b.until.Store(time.Now().Add(opensFor).UnixNano())
			}
		},
	})
	return b
}

// refusal returns the error of an open breaker, nil when calls may be made.
func (b *breaker) refusal() error {
	if b == nil || b.circuit.State() != gobreaker.StateOpen {
		return nil
	}
	return b.refuse()
}

func (b *breaker) refuse() error {
	e := usersync.Errorf(usersync.CodeUnavailable, "The platform did not answer several times in a row. It is not called for a while.")
	e.RetryAfter = max(time.Until(time.Unix(0, b.until.Load())), trialWait)
	return e
}

// run makes a call, unless the breaker is open, or half open with a call under way.
func (b *breaker) run(call func() (*outbound.Response, error)) (response *outbound.Response, open bool, err error) {
	if b == nil {
		response, err = call()
		return response, false, err
	}
	response, err = b.circuit.Execute(call)
	if errors.Is(err, gobreaker.ErrOpenState) || errors.Is(err, gobreaker.ErrTooManyRequests) {
		return nil, true, b.refuse()
	}
	return response, false, err
}
