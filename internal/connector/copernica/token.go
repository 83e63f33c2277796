package copernica

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"usersync/internal/connector"
	"usersync/internal/queue"
	"usersync/internal/usersync"
)

const (
	// authBase is the authentication service. If baseUrl is set, the service is at the
	// root of that address.
	authBase = "https://authenticate.copernica.com"
	// margin is how long before its end a token is exchanged for a new one.
	margin = 10 * time.Minute
	// validFor is how long a token counts as good if it does not say.
	validFor = 23 * time.Hour
	// maxToken is the longest token that is kept, in bytes. Copernica's have some 800.
	maxToken = 8 << 10
	// maxTokens is how many tokens a process keeps. One that is not kept is asked for
	// again.
	maxTokens = 1000
)

// tokens are the JSON Web Tokens of connections of this process, those that were used
// last. A token is good for 24 hours, and connections are opened far more often than
// that. There is one for each API token of an organization at an address.
var tokens, _ = lru.New[queue.AccountKey, *held](maxTokens) // New fails only for a bound below 1.

// held is the token of one API token. Its lock is held while a new token is asked
// for, so that everybody who needs the token waits for one call.
type held struct {
	gate  chan struct{} // holds one while it is free
	token usersync.Secret
	until time.Time
}

// slot returns the place where the token of this connection is held.
func (c *copernica) slot() *held {
	key := queue.KeyOf(c.client.Organization, c.client.URL(authBase, "/"), connector.Fingerprint(c.token))
	one := &held{gate: make(chan struct{}, 1)}
	one.gate <- struct{}{}
	if known, ok, _ := tokens.PeekOrAdd(key, one); ok {
		tokens.Get(key) // it was used
		return known
	}
	return one
}

// lock waits for the slot, or for the end of ctx.
func (h *held) lock(ctx context.Context) error {
	select {
	case <-h.gate:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (h *held) unlock() { h.gate <- struct{}{} }

// jwt returns the token of the day, and whether it has just been asked for.
func (c *copernica) jwt(ctx context.Context) (token usersync.Secret, fresh bool, err error) {
	h := c.slot()
	if err := h.lock(ctx); err != nil {
		return usersync.Secret{}, false, fmt.Errorf("wait for the token: %w", err)
	}
	defer h.unlock()
	if time.Now().Before(h.until) {
		return h.token, false, nil
	}
	token, until, err := c.exchange(ctx)
	if err != nil {
		return usersync.Secret{}, false, fmt.Errorf("exchange the API token: %w", err)
	}
	h.token, h.until = token, until
	return token, true, nil
}

// forget drops a token that was refused, unless another has taken its place.
func (c *copernica) forget(ctx context.Context, token usersync.Secret) error {
	h := c.slot()
	if err := h.lock(ctx); err != nil {
		return fmt.Errorf("wait for the token: %w", err)
	}
	defer h.unlock()
	if h.token.Reveal() == token.Reveal() {
		h.token, h.until = usersync.Secret{}, time.Time{}
	}
	return nil
}

// exchange asks the authentication service for a token.
func (c *copernica) exchange(ctx context.Context) (usersync.Secret, time.Time, error) {
	form := url.Values{"access_token": {c.token.Reveal()}}.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.client.URL(authBase, "/"), strings.NewReader(form))
	if err != nil {
		return usersync.Secret{}, time.Time{}, usersync.Errorf(usersync.CodeInvalid, "The platform's address is not valid.")
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	response, err := c.client.Do(ctx, req)
	if usersync.CodeOf(err) == usersync.CodeRejected {
		// This call says nothing but the token.
		e := usersync.AsError(err)
		return usersync.Secret{}, time.Time{}, usersync.Errorf(usersync.CodeDisconnected, "%s", e.Message)
	}
	if err != nil {
		return usersync.Secret{}, time.Time{}, fmt.Errorf("call the authentication service: %w", err)
	}
	token := strings.Trim(strings.TrimSpace(string(response.Body)), `"`)
	if response.Truncated || len(token) > maxToken || strings.Count(token, ".") != 2 || strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return usersync.Secret{}, time.Time{}, usersync.Errorf(usersync.CodeUnavailable, "Copernica's answer held no token.")
	}
	return usersync.NewSecret(token), time.Now().Add(lifetime(token, time.Now()) - margin), nil
}

// lifetime returns how long a token is good for, by the exp that it carries. The token
// is not verified, because only Copernica relies on it.
func lifetime(token string, now time.Time) time.Duration {
	var claims struct {
		Exp int64 `json:"exp"`
	}
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	if err != nil || json.Unmarshal(payload, &claims) != nil || claims.Exp <= 0 {
		return validFor
	}
	return min(time.Unix(claims.Exp, 0).Sub(now), validFor+time.Hour)
}
