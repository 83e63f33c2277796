package tenant

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"usersync/internal/store"
	"usersync/internal/usersync"
)

// This file holds what an organization has set up for the directory dialect: the codes
// that name it there, whose tokens it takes, and where else its users are kept.

// Key returns what an organization is found by: the three codes without regard to case,
// "" where one of them is missing.
func (c Codes) Key() string {
	if c.ClientGroupCode == "" || c.ClientCode == "" || c.PaperCode == "" {
		return ""
	}
	return strings.ToLower(strings.Join([]string{c.ClientGroupCode, c.ClientCode, c.PaperCode}, "\n"))
}

// JWT says whose tokens the directory dialect takes for an organization. Keys are either
// a Secret, or PublicKeys, or those that are served at JWKSURL.
type JWT struct {
	// Algorithms are those of RFC 7518 that a token may be signed with; no other is taken.
	Algorithms []string `json:"algorithms,omitempty"`
	Issuer     string   `json:"issuer,omitempty"`
	Audience   string   `json:"audience,omitempty"`
	// Secret has 32 bytes at least.
	Secret     usersync.MaskedSecret `json:"secret,omitzero"`
	PublicKeys []PublicKey           `json:"publicKeys,omitempty"`
	JWKSURL    string                `json:"jwksUrl,omitempty"`
	// TenantClaims are the claims that name the organization, compared with the headers.
	TenantClaims *Claims `json:"tenantClaims,omitempty"`
}

// PublicKey is one key that tokens are checked with.
type PublicKey struct {
	// ID is the kid of the tokens that it signs; "" for those without one.
	ID string `json:"kid,omitempty"`
	// PEM is the key as SubjectPublicKeyInfo (RFC 7468, section 13).
	PEM string `json:"pem"`
}

// Claims are names of claims.
type Claims struct {
	ClientGroupCode string `json:"clientGroupCode"`
	ClientCode      string `json:"clientCode"`
	PaperCode       string `json:"paperCode"`
}

// IsZero reports whether nothing is set.
func (j JWT) IsZero() bool {
	return len(j.Algorithms) == 0 && j.Issuer == "" && j.Audience == "" && j.Secret.IsZero() && len(j.PublicKeys) == 0 && j.JWKSURL == "" && j.TenantClaims == nil
}

// Flow says where the directory dialect looks users up.
type Flow struct {
	// UserProvider names the provider of Providers to ask. Any other word means that
	// there is none.
	UserProvider string `json:"userProvider,omitempty"`
}

// Providers are the accounts of an organization at identity providers.
type Providers struct {
	Auth0   *Auth0        `json:"auth0,omitempty"`
	Gigya   *Gigya        `json:"gigya,omitempty"`
	SSOR    *HTTPProvider `json:"ssor,omitempty"`
	Firefly *HTTPProvider `json:"firefly,omitempty"`
}

// Auth0 is a tenant of Auth0, with an application that has the scope read:users.
type Auth0 struct {
	// URL is the tenant's own domain, such as https://example.eu.auth0.com.
	URL          string                `json:"url"`
	ClientID     string                `json:"clientId"`
	ClientSecret usersync.MaskedSecret `json:"clientSecret,omitzero"`
	// Audience is that of the Management API; "" is URL + /api/v2/.
	Audience string `json:"audience,omitempty"`
}

// Gigya is a site of SAP Customer Data Cloud, with an application key.
type Gigya struct {
	// URL is that of the data centre's accounts API, such as https://accounts.eu1.gigya.com.
	URL     string                `json:"url"`
	APIKey  string                `json:"apiKey"`
	UserKey string                `json:"userKey"`
	Secret  usersync.MaskedSecret `json:"secret,omitzero"`
}

// HTTPProvider is a provider whose API is described by settings. Empty ones are those of
// the preset that goes by its name.
type HTTPProvider struct {
	// URL is the template of the look-up; {email} in its query or path is the address.
	URL string `json:"url"`
	// Auth is none, header, basic or client_credentials.
	Auth string `json:"auth,omitempty"`
	// Header is where a header's secret stands.
	Header string `json:"header,omitempty"`
	// Username is that of basic, or the id of the client.
	Username string                `json:"username,omitempty"`
	Secret   usersync.MaskedSecret `json:"secret,omitzero"`
	TokenURL string                `json:"tokenUrl,omitempty"`
	// User is the JSON pointer (RFC 6901) to the user in the answer, or to a list whose
	// first element it is. Nothing there means that there is no such user.
	User string `json:"user,omitempty"`
	// Error is the JSON pointer to what is there in an answer 200 that is an error.
	Error string `json:"error,omitempty"`
	// Fields are JSON pointers beneath the user by the names of the record's fields.
	Fields map[string]string `json:"fields,omitempty"`
}

// isZero and the like report whether nothing but a name was sent: such a provider is
// removed.
func (a *Auth0) isZero() bool { return a == nil || *a == Auth0{} }
func (g *Gigya) isZero() bool { return g == nil || *g == Gigya{} }
func (h *HTTPProvider) isZero() bool {
	return h == nil || h.URL == "" && h.Auth == "" && h.Secret.IsZero() && len(h.Fields) == 0
}

// Without empty accounts: what was sent as {} is removed.
func (p Providers) trimmed() Providers {
	if p.Auth0.isZero() {
		p.Auth0 = nil
	}
	if p.Gigya.isZero() {
		p.Gigya = nil
	}
	if p.SSOR.isZero() {
		p.SSOR = nil
	}
	if p.Firefly.isZero() {
		p.Firefly = nil
	}
	return p
}

// Change returns the accounts with those of in in their places; nil leaves one as it is,
// an empty one is removed. A secret that was sent as its mask stays as it is stored.
func (p Providers) Change(in Providers) Providers {
	if in.Auth0 != nil {
		one := *in.Auth0
		if p.Auth0 != nil {
			one.ClientSecret = kept(p.Auth0.ClientSecret, one.ClientSecret)
		}
		p.Auth0 = &one
	}
	if in.Gigya != nil {
		one := *in.Gigya
		if p.Gigya != nil {
			one.Secret = kept(p.Gigya.Secret, one.Secret)
		}
		p.Gigya = &one
	}
	p.SSOR, p.Firefly = p.SSOR.change(in.SSOR), p.Firefly.change(in.Firefly)
	return p.trimmed()
}

func (h *HTTPProvider) change(in *HTTPProvider) *HTTPProvider {
	if in == nil {
		return h
	}
	one := *in
	if h != nil {
		one.Secret = kept(h.Secret, one.Secret)
	}
	return &one
}

// Change returns what was sent, with the stored secret where its mask was sent.
func (j JWT) Change(in JWT) JWT {
	in.Secret = kept(j.Secret, in.Secret)
	return in
}

// kept returns the stored secret where its mask was sent, else what was sent.
func kept(stored, sent usersync.MaskedSecret) usersync.MaskedSecret {
	if !stored.IsZero() && sent.Reveal() == stored.Masked() {
		return stored
	}
	return sent
}

// clone returns a copy that shares nothing a change could reach.
func (p Providers) clone() Providers {
	if p.Auth0 != nil {
		one := *p.Auth0
		p.Auth0 = &one
	}
	if p.Gigya != nil {
		one := *p.Gigya
		p.Gigya = &one
	}
	p.SSOR, p.Firefly = p.SSOR.clone(), p.Firefly.clone()
	return p
}

func (h *HTTPProvider) clone() *HTTPProvider {
	if h == nil {
		return nil
	}
	one := *h
	one.Fields = maps.Clone(h.Fields)
	return &one
}

// secretFields adds the secrets of the dialect's settings to fields.
func (s *Settings) directorySecrets(fields map[string]SecretField) {
	fields["jwt.secret"] = SecretField{Secret: &s.JWT.Secret}
	if a := s.Providers.Auth0; a != nil {
		fields["providers.auth0.clientSecret"] = SecretField{&a.ClientSecret, []AddressPart{{"providers.auth0.url", a.URL}}}
	}
	if g := s.Providers.Gigya; g != nil {
		fields["providers.gigya.secret"] = SecretField{&g.Secret, []AddressPart{{"providers.gigya.url", g.URL}}}
	}
	for name, h := range map[string]*HTTPProvider{"ssor": s.Providers.SSOR, "firefly": s.Providers.Firefly} {
		if h != nil {
			at := "providers." + name + "."
			fields[at+"secret"] = SecretField{&h.Secret, []AddressPart{{at + "url", h.URL}, {at + "tokenUrl", h.TokenURL}}}
		}
	}
}

// cloneDirectory gives s its own copies of the dialect's settings.
func (s *Settings) cloneDirectory() {
	s.JWT.Algorithms, s.JWT.PublicKeys = slices.Clone(s.JWT.Algorithms), slices.Clone(s.JWT.PublicKeys)
	s.Providers = s.Providers.clone()
}

const organizationColumns = `o.id, o.name, o.status, o.salt, o.default_invite_link, o.default_redirection_link, o.client_group_code, o.client_code, o.paper_code,
    o.settings, o.secrets, o.created_at, o.updated_at`

func (r *OrganizationRow) columns() []any {
	return []any{&r.ID, &r.Name, &r.Status, &r.Salt, &r.DefaultInviteLink, &r.DefaultRedirectionLink, &r.ClientGroupCode, &r.ClientCode, &r.PaperCode,
		&r.Settings, &r.Secrets, &r.CreatedAt, &r.UpdatedAt}
}

var codesStatement = store.Define("tenant.codes", `SELECT `+organizationColumns+`, {now} FROM organizations o WHERE o.codes_key = $1 AND o.codes_key <> ''`)

// FindByCodes returns the organization that three codes name, as the caller who speaks
// for it without a key; ok is false when there is none.
func FindByCodes(ctx context.Context, s *store.Store, key string) (c Caller, ok bool, err error) {
	var row OrganizationRow
	var now int64
	err = s.Reader().QueryRow(ctx, codesStatement, key).Scan(append(row.columns(), &now)...)
	if errors.Is(err, sql.ErrNoRows) {
		return c, false, nil
	}
	if err != nil {
		return c, false, store.Classify(err)
	}
	if c.Organization, err = row.Organization(s); err != nil {
		return c, false, fmt.Errorf("read organization %q: %w", row.ID, err)
	}
	c.Org, c.At = s.Org(row.ID), store.At(now)
	return c, true, nil
}

var activeStatement = store.Define("tenant.active", `SELECT status FROM organizations WHERE id = $1`)

// HoldActive refuses a transaction of an organization that is not active any more. It stands
// first in every transaction of a caller who has no key, as HoldKey does for those who have.
func HoldActive(ctx context.Context, tx *store.Tx, id string) error {
	var status string
	err := tx.QueryRow(ctx, activeStatement, id).Scan(&status)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("read the status of the organization: %w", store.Classify(err))
	}
	if status != Active {
		return ErrInvalidOrganization
	}
	return nil
}

// ErrCodesTaken is the refusal of codes that name another organization already.
var ErrCodesTaken = usersync.Errorf(usersync.CodeConflict, "Another organization has these tenant codes; they are compared without regard to case.")

// ErrKeysShared is the refusal of an issuer's keys that another organization takes too.
var ErrKeysShared = usersync.Errorf(usersync.CodeConflict, "settings.jwt: another organization takes tokens of this issuer and audience that are signed with the same key. "+
	"Set settings.jwt.tenantClaims in both organizations, so that a token says which of them it is for.")

var (
	// On SQLite there is one writer, and nothing to lock.
	lockCodesStatement = store.DefinePerEngine("tenant.lockCodes", `SELECT pg_advisory_xact_lock(7018)`, `SELECT 1`)
	takenStatement     = store.Define("tenant.codesTaken", `SELECT id FROM organizations WHERE codes_key = $1 AND codes_key <> '' AND id <> $2`)
	scopeStatement     = store.Define("tenant.tokenScope", `SELECT `+organizationColumns+` FROM organizations o WHERE o.token_scope = $1 AND o.token_scope <> '' AND o.id <> $2`)
)

// maxSharing bounds the organizations that take tokens of one issuer and audience.
const maxSharing = 10_000

// checkUnique refuses codes and keys of tokens that belong to another organization. It
// runs in the transaction that writes them, one such transaction at a time.
func checkUnique(ctx context.Context, tx *store.Tx, o Organization) error {
	key, scope := o.Tenant.Key(), o.Settings.JWT.scope()
	if key == "" && scope == "" {
		return nil
	}
	if _, err := store.Collect(ctx, tx.Conn, lockCodesStatement, nil, func(func(...any) error) (struct{}, error) { return struct{}{}, nil }); err != nil {
		return fmt.Errorf("lock the tenant codes: %w", err)
	}
	taken, err := store.Collect(ctx, tx.Conn, takenStatement, nil, store.ScanString, key, o.ID)
	if err != nil {
		return fmt.Errorf("find who has the tenant codes: %w", err)
	}
	if len(taken) > 0 {
		return ErrCodesTaken
	}
	others, err := store.Collect(ctx, tx.Conn, scopeStatement, nil, func(scan func(...any) error) (r OrganizationRow, err error) { return r, scan(r.columns()...) }, scope, o.ID)
	if err != nil {
		return fmt.Errorf("find who takes tokens of the issuer: %w", err)
	}
	if len(others) > maxSharing {
		return usersync.Errorf(usersync.CodeConflict, "settings.jwt: more than %d organizations take tokens of this issuer and audience.", maxSharing)
	}
	for _, row := range others {
		other, err := row.organization(tx.Sealer())
		if err != nil {
			return fmt.Errorf("read organization %q: %w", row.ID, err)
		}
		if o.Settings.JWT.sharesKeys(other.Settings.JWT) && (o.Settings.JWT.TenantClaims == nil || other.Settings.JWT.TenantClaims == nil) {
			return ErrKeysShared
		}
	}
	return nil
}

// scope is what tokens of one issuer for one audience have in common, "" where no tokens
// are taken.
func (j JWT) scope() string {
	if j.IsZero() {
		return ""
	}
	return HashKey(usersync.NewSecret(j.Issuer + "\n" + j.Audience))
}

// sharesKeys reports whether a token may be good for both. What is served at an address
// cannot be known here, so such keys count as the same as any other public ones.
func (j JWT) sharesKeys(other JWT) bool {
	if !j.Secret.IsZero() || !other.Secret.IsZero() {
		return j.Secret.Reveal() == other.Secret.Reveal()
	}
	if j.JWKSURL != "" || other.JWKSURL != "" {
		return true
	}
	return slices.ContainsFunc(j.PublicKeys, func(k PublicKey) bool {
		return slices.ContainsFunc(other.PublicKeys, func(o PublicKey) bool { return bytes.Equal(k.DER(), o.DER()) })
	})
}

// DER returns the key without the armour of PEM, nil where it has none.
func (k PublicKey) DER() []byte {
	block, rest := pem.Decode([]byte(strings.TrimSpace(k.PEM)))
	if block == nil || block.Type != "PUBLIC KEY" || len(bytes.TrimSpace(rest)) > 0 {
		return nil
	}
	return block.Bytes
}
