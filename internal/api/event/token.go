package event

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"usersync/internal/api"
	"usersync/internal/intake"
	"usersync/internal/usersync"
)

const (
	// validFor is how long a token is valid.
	validFor = 24 * time.Hour
	// audience is what a token is for. No other dialect takes it.
	audience = "events"
	// tokenPurpose is what a signing key is derived for.
	tokenPurpose = "tokens of the events dialect"
)

// authenticate takes an API key or a token from Authorization, and where tokens are
// handed out, the API key from the body.
func (h *Handlers) authenticate(c *api.Call) error {
	err := h.identify(c)
	if errors.Is(err, api.ErrUnlinked) {
		return intake.ErrInvalidKey // the contract knows only valid and invalid tokens
	}
	return err
}

func (h *Handlers) identify(c *api.Call) error {
	if c.Path() == authenticatePath {
		in, err := readSent(c)
		if err != nil {
			return fmt.Errorf("read the body: %w", err)
		}
		key, _ := in.values["access_token"].(string)
		return c.Authenticate(usersync.NewSecret(strings.TrimSpace(key)))
	}
	token := api.BearerToken(c.Request().Header)
	if strings.Count(token, ".") != 2 {
		return c.Authenticate(usersync.NewSecret(token))
	}
	claims, ok := h.open(token)
	if !ok {
		return intake.ErrInvalidKey
	}
	if err := c.AuthenticateKey(claims.Subject); err != nil {
		return fmt.Errorf("find the caller of a token: %w", err)
	}
	if !c.Caller.At.Before(claims.ExpiresAt.Time) {
		return intake.ErrInvalidKey
	}
	return nil
}

// giveToken is POST /v4/authenticate.
func (h *Handlers) giveToken(c *api.Call) error {
	now := c.Caller.At
	token := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.RegisteredClaims{
		Subject: c.Caller.Key.ID, Audience: jwt.ClaimStrings{audience},
		IssuedAt: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(now.Add(validFor)),
	})
	token.Header["kid"] = h.Keys.FirstID()
	signing, _ := h.Keys.Derive(h.Keys.FirstID(), tokenPurpose)
	text, err := token.SignedString(signing)
	if err != nil {
		return fmt.Errorf("sign the token: %w", err)
	}
	return c.Blob(http.StatusOK, "text/plain; charset=utf-8", []byte(text))
}

// open returns what a token says. ok is false for one that was not signed here, or not
// for events. When it expires is not asked: the database's clock decides that.
func (h *Handlers) open(text string) (claims jwt.RegisteredClaims, ok bool) {
	parser := jwt.NewParser(jwt.WithValidMethods([]string{jwt.SigningMethodHS256.Alg()}), jwt.WithoutClaimsValidation())
	_, err := parser.ParseWithClaims(text, &claims, func(t *jwt.Token) (any, error) {
		id, _ := t.Header["kid"].(string)
		signing, known := h.Keys.Derive(id, tokenPurpose)
		if !known {
			return nil, jwt.ErrTokenUnverifiable
		}
		return signing, nil
	})
	ok = err == nil && len(claims.Audience) == 1 && claims.Audience[0] == audience && claims.ExpiresAt != nil
	return claims, ok && usersync.HasPrefix(claims.Subject, usersync.PrefixKey)
}
