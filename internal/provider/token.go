package provider

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"usersync/internal/outbound"
	"usersync/internal/usersync"
)

// Tokens keeps the access token of an account: it is fetched once, however many look-ups
// want it, and anew before it ends. It is safe for concurrent use.
type Tokens struct {
	// Fetch gets a token, and how long it is valid.
	Fetch func(ctx context.Context) (token usersync.Secret, valid time.Duration, err error)

	mu      sync.Mutex
	token   usersync.Secret
	ends    time.Time
	renew   time.Time // when it is fetched anew, while it is still good
	fetched *fetch    // under way; nil where none is
}

// fetch is one that is under way.
type fetch struct {
	done chan struct{}
	err  error
}

const (
	// fetchWithin bounds a fetch, whose callers may leave earlier.
	fetchWithin = 10 * time.Second
	// renewAfter is after which part of its time a token is fetched anew.
	renewAfter = 0.8
	// mostValid bounds how long a token is kept, whatever it says of itself.
	mostValid = 24 * time.Hour
)

// Get returns a token. The caller who finds one that ends soon has it fetched anew and does
// not wait for that.
func (t *Tokens) Get(ctx context.Context) (usersync.Secret, error) {
	for range 2 {
		token, under := t.begin(ctx)
		if !token.IsZero() {
			return token, nil
		}
		select {
		case <-under.done:
		case <-ctx.Done():
			return usersync.Secret{}, usersync.Errorf(usersync.CodeUnavailable, "The provider gave no token in time.").Because(ctx.Err())
		}
		if under.err != nil {
			return usersync.Secret{}, under.err
		}
	}
	return usersync.Secret{}, usersync.Errorf(usersync.CodeUnavailable, "The provider's tokens end at once.")
}

// begin returns the token where it is good, and the fetch that is under way, which it
// begins where there is need.
func (t *Tokens) begin(ctx context.Context) (token usersync.Secret, under *fetch) {
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	if now.Before(t.ends) {
		token = t.token
	}
	if t.fetched == nil && (token.IsZero() || now.After(t.renew)) {
		t.fetched = &fetch{done: make(chan struct{})}
		go t.get(context.WithoutCancel(ctx), t.fetched)
	}
	return token, t.fetched
}

func (t *Tokens) get(ctx context.Context, under *fetch) {
	ctx, cancel := context.WithTimeout(ctx, fetchWithin)
	defer cancel()
	began := time.Now()
	token, valid, err := t.Fetch(ctx)
	t.mu.Lock()
	defer t.mu.Unlock()
	if err == nil {
		valid = min(max(valid, time.Second), mostValid)
		t.token, t.ends, t.renew = token, began.Add(valid), began.Add(time.Duration(float64(valid)*renewAfter))
	}
	under.err, t.fetched = err, nil
	close(under.done)
}

// Refused forgets a token that the provider does not take any more.
func (t *Tokens) Refused(token usersync.Secret) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.token == token {
		t.ends = time.Time{}
	}
}

// ReadToken reads the answer of a token endpoint (RFC 6749, section 5.1).
func (c *Caller) ReadToken(ctx context.Context, request *http.Request) (token usersync.Secret, valid time.Duration, err error) {
	response, err := c.Do(ctx, request)
	if err != nil {
		return token, 0, fmt.Errorf("ask for a token: %w", err)
	}
	var answer struct {
		Token     usersync.Secret `json:"access_token"`
		ExpiresIn int64           `json:"expires_in"`
	}
	if err := Decode(response, &answer); err != nil {
		return token, 0, err
	}
	if answer.Token.IsZero() || len(answer.Token.Reveal()) > maxToken || strings.ContainsFunc(answer.Token.Reveal(), func(r rune) bool { return r <= ' ' || r > '~' }) {
		return token, 0, errRead
	}
	valid = min(time.Duration(answer.ExpiresIn), mostValid/time.Second) * time.Second
	if answer.ExpiresIn <= 0 {
		valid = unsaid
	}
	return answer.Token, valid, nil
}

const (
	// maxToken bounds a token in bytes.
	maxToken = 16 << 10
	// unsaid is how long a token is kept that does not say how long it is valid.
	unsaid = 5 * time.Minute
)

// DoWithToken makes a call with a token of t. One that the provider refuses is replaced
// once. request makes the call anew. As with Do, an answer may come back beside the error.
func (c *Caller) DoWithToken(ctx context.Context, t *Tokens, request func() (*http.Request, error)) (response *outbound.Response, err error) {
	for range 2 {
		token, err := t.Get(ctx)
		if err != nil {
			return nil, err
		}
		r, err := request()
		if err != nil {
			return nil, err
		}
		r.Header.Set("Authorization", "Bearer "+token.Reveal())
		response, err = c.Do(ctx, r)
		if err == nil || response == nil || response.Status != http.StatusUnauthorized {
			return response, err
		}
		t.Refused(token)
	}
	return response, usersync.Errorf(usersync.CodeDisconnected, "The provider refuses the tokens that it gives.")
}
