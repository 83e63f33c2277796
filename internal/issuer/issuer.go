// Package issuer checks the tokens by which callers of the directory dialect show that
// they speak for an organization: JSON Web Tokens (RFC 7519) of an issuer that the
// organization has named.
package issuer

import (
	"context"
	"crypto/subtle"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"usersync/internal/tenant"
	"usersync/internal/usersync"
)

const (
	// MaxToken bounds a token in bytes.
	MaxToken = 8 << 10
	// leeway is how far clocks may differ, by the contract.
	leeway = time.Minute
)

// The refusals of a token.
var (
	// ErrToken is that of a token that is not good for the organization, for whatever
	// reason: a caller is not told which.
	ErrToken = usersync.Errorf(usersync.CodeUnauthorized, "The token is missing or not valid.")
	// ErrOtherTenant is that of a good token that names another organization.
	ErrOtherTenant = usersync.Errorf(usersync.CodeForbidden, "The token is for another tenant.")
)

// Checker checks tokens. It keeps the keys that issuers serve. It is safe for concurrent
// use.
type Checker struct {
	// Served fetches and keeps the keys that are served at addresses.
	Served *KeySets
}

// Check refuses a token that is not good for the organization at a time. The errors are
// ErrToken and ErrOtherTenant, or of code unavailable where the keys of the issuer cannot
// be fetched.
func (c *Checker) Check(ctx context.Context, o tenant.Organization, token string, now time.Time) error {
	settings := o.Settings.JWT
	if settings.IsZero() || token == "" || len(token) > MaxToken {
		return ErrToken
	}
	claims := jwt.MapClaims{}
	var unavailable error
	parser := jwt.NewParser(
		jwt.WithValidMethods(settings.Algorithms), jwt.WithStrictDecoding(), jwt.WithJSONNumber(),
		jwt.WithIssuer(settings.Issuer), jwt.WithAudience(settings.Audience),
		jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithLeeway(leeway), jwt.WithTimeFunc(func() time.Time { return now }))
	_, err := parser.ParseWithClaims(token, claims, func(t *jwt.Token) (any, error) {
		var keys jwt.VerificationKeySet
		keys, unavailable = c.keys(ctx, o.ID, settings, t)
		if unavailable != nil || len(keys.Keys) == 0 {
			return nil, jwt.ErrTokenUnverifiable
		}
		return keys, nil
	})
	switch {
	case unavailable != nil:
		return fmt.Errorf("fetch the issuer's keys: %w", unavailable)
	case err != nil:
		return ErrToken
	}
	return names(claims, settings.TenantClaims, o.Tenant)
}

// names refuses claims that do not name the organization, where they have to.
func names(claims jwt.MapClaims, named *tenant.Claims, codes tenant.Codes) error {
	if named == nil {
		return nil
	}
	for _, one := range [][2]string{
		{named.ClientGroupCode, codes.ClientGroupCode}, {named.ClientCode, codes.ClientCode}, {named.PaperCode, codes.PaperCode},
	} {
		said, ok := claims[one[0]].(string)
		switch {
		case !ok:
			return ErrToken
		case subtle.ConstantTimeCompare([]byte(strings.ToLower(said)), []byte(strings.ToLower(one[1]))) != 1:
			return ErrOtherTenant
		}
	}
	return nil
}

// keys returns the keys that may have signed a token: those that its kid names, or all
// where it names none. Nothing else of a token's header is looked at: where keys come
// from is the organization's to say and not the token's.
func (c *Checker) keys(ctx context.Context, organization string, settings tenant.JWT, t *jwt.Token) (set jwt.VerificationKeySet, err error) {
	if _, critical := t.Header["crit"]; critical {
		return set, nil
	}
	id, said := t.Header["kid"].(string)
	if _, there := t.Header["kid"]; there && !said {
		return set, nil
	}
	if !settings.Secret.IsZero() {
		set.Keys = append(set.Keys, []byte(settings.Secret.Reveal()))
		return set, nil
	}
	all := staticKeys(settings.PublicKeys)
	if settings.JWKSURL != "" {
		if all, err = c.Served.get(ctx, organization, settings.JWKSURL, id); err != nil {
			return set, err
		}
	}
	for _, k := range all {
		if (id == "" || k.id == id || k.id == "" && settings.JWKSURL == "") && k.fits(t.Method.Alg()) {
			set.Keys = append(set.Keys, k.public)
		}
	}
	set.Keys = set.Keys[:min(len(set.Keys), maxTried)]
	return set, nil
}

// maxTried bounds the keys that a token is tried with.
const maxTried = 8

// algorithms are those that settings may name, by the kind of their keys.
var (
	hmacAlgorithms   = []string{"HS256", "HS384", "HS512"}
	publicAlgorithms = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"}
)

// leastSecret is how many bytes a secret has at least, by the contract.
const leastSecret = 32

// Bounds of the settings.
const (
	maxText = 200  // characters
	maxPEM  = 8192 // bytes
	maxKeys = 10
)

// Validate returns what is wrong with the settings. checkURL says whether an address may
// be called.
func Validate(s tenant.JWT, checkURL func(string) error) []usersync.FieldError {
	if s.IsZero() {
		return nil
	}
	var faults []usersync.FieldError
	add := func(field, format string, args ...any) {
		faults = append(faults, usersync.FieldError{Field: "settings.jwt." + field, Message: fmt.Sprintf(format, args...)})
	}
	allowed := publicAlgorithms
	if !s.Secret.IsZero() {
		allowed = hmacAlgorithms
	}
	if len(s.Algorithms) == 0 || slices.ContainsFunc(s.Algorithms, func(a string) bool { return !slices.Contains(allowed, a) }) {
		add("algorithms", "must be some of %s: with a secret, of %s", strings.Join(publicAlgorithms, ", "), strings.Join(hmacAlgorithms, ", "))
	}
	for _, one := range [][2]string{{"issuer", s.Issuer}, {"audience", s.Audience}} {
		if one[1] == "" || len(one[1]) > maxText {
			add(one[0], "must have 1 to %d bytes", maxText)
		}
	}
	sources := 0
	for _, set := range []bool{!s.Secret.IsZero(), len(s.PublicKeys) > 0, s.JWKSURL != ""} {
		if set {
			sources++
		}
	}
	if sources != 1 {
		add("secret", "must be set, or else publicKeys or jwksUrl: one of the three")
	}
	if n := len(s.Secret.Reveal()); n > 0 && (n < leastSecret || n > maxPEM) {
		add("secret", "must have %d to %d bytes", leastSecret, maxPEM)
	}
	if s.JWKSURL != "" {
		if err := checkURL(s.JWKSURL); err != nil {
			add("jwksUrl", "%s", strings.TrimPrefix(usersync.AsError(err).Message, "The URL "))
		}
	}
	validateKeys(s, add)
	if c := s.TenantClaims; c != nil && slices.ContainsFunc([]string{c.ClientGroupCode, c.ClientCode, c.PaperCode}, func(name string) bool { return name == "" || len(name) > maxText }) {
		add("tenantClaims", "must name the claims of clientGroupCode, clientCode and paperCode")
	}
	return faults
}

func validateKeys(s tenant.JWT, add func(field, format string, args ...any)) {
	if len(s.PublicKeys) > maxKeys {
		add("publicKeys", "must be at most %d", maxKeys)
		return
	}
	for i, k := range s.PublicKeys {
		at := fmt.Sprintf("publicKeys[%d]", i)
		parsed, err := parsePEM(k)
		switch {
		case len(k.PEM) > maxPEM || len(k.ID) > maxText:
			add(at, "must have at most %d bytes", maxPEM)
		case err != nil:
			add(at+".pem", "%v", err)
		case !slices.ContainsFunc(s.Algorithms, parsed.fits):
			add(at+".pem", "is a key that none of the algorithms takes")
		}
	}
}
