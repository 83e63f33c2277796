package tenant

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"usersync/internal/audit"
	"usersync/internal/store"
	"usersync/internal/usersync"
)

// keyPrefix begins every API key, so that a leaked one can be recognised.
const keyPrefix = "usk_"

// Scope is what an API key may do.
type Scope string

// The scopes of API keys.
const (
	ScopeSync       Scope = "sync"
	ScopeRead       Scope = "read"
	ScopeColleagues Scope = "colleagues"
	ScopeMarketing  Scope = "marketing"
	ScopeEvents     Scope = "events"
	ScopeManage     Scope = "manage"
	ScopeErase      Scope = "erase"
	ScopeSCIM       Scope = "scim"
	ScopeAll        Scope = "*"
)

// Scopes lists every scope.
var Scopes = []Scope{ScopeSync, ScopeRead, ScopeColleagues, ScopeMarketing, ScopeEvents, ScopeManage, ScopeErase, ScopeSCIM, ScopeAll}

// Key is an API key without the key itself, which is stored as a hash only.
type Key struct {
	ID           string        `json:"id"`
	Organization string        `json:"-"`
	Name         string        `json:"name"`
	Hint         string        `json:"key"` // the visible ending, see Secret.Masked; never the key
	Scopes       []Scope       `json:"scopes"`
	CreatedAt    usersync.Time `json:"createdAt"`
	ExpiresAt    usersync.Time `json:"expiresAt,omitzero"`
	RevokedAt    usersync.Time `json:"revokedAt,omitzero"`
}

// Allows reports whether the key has the scope.
func (k Key) Allows(s Scope) bool {
	return slices.Contains(k.Scopes, s) || slices.Contains(k.Scopes, ScopeAll)
}

// ValidAt reports whether the key is neither revoked nor expired at t.
func (k Key) ValidAt(t time.Time) bool {
	revoked := !k.RevokedAt.IsZero() && !t.Before(k.RevokedAt.Time)
	expired := !k.ExpiresAt.IsZero() && !t.Before(k.ExpiresAt.Time)
	return !revoked && !expired
}

// The refusals of a key, in the words of the contract.
var (
	ErrInvalidKey          = usersync.Errorf(usersync.CodeUnauthorized, "Invalid API Key")
	ErrInvalidOrganization = usersync.Errorf(usersync.CodeUnauthorized, "Invalid organization ID")
)

// Refuse returns why nothing may be done with the key at a time, for an organization of
// the status, that needs the scope; "" is no scope. It returns nil where it may be done.
func (k Key) Refuse(at time.Time, organizationStatus string, needs Scope) *usersync.Error {
	switch {
	case !k.ValidAt(at):
		return ErrInvalidKey
	case organizationStatus != Active:
		return ErrInvalidOrganization
	case needs != "" && !k.Allows(needs):
		return usersync.Errorf(usersync.CodeForbidden, "API Key lacks the scope %s.", needs)
	}
	return nil
}

// keyRow is a row of api_keys.
type keyRow struct {
	ID             string `gorm:"primaryKey"`
	OrganizationID string
	Name           string
	Hash           string
	Hint           string
	Scopes         string
	CreatedAt      int64 `gorm:"autoCreateTime:false"`
	ExpiresAt      int64
	RevokedAt      int64
}

func (keyRow) TableName() string { return "api_keys" }

func (r keyRow) key() (Key, error) {
	k := Key{
		ID: r.ID, Organization: r.OrganizationID, Name: r.Name, Hint: r.Hint,
		CreatedAt: store.Stamp(r.CreatedAt), ExpiresAt: store.Stamp(r.ExpiresAt), RevokedAt: store.Stamp(r.RevokedAt),
	}
	if err := json.Unmarshal([]byte(r.Scopes), &k.Scopes); err != nil {
		return k, fmt.Errorf("decode the scopes of API key %q: %w", r.ID, err)
	}
	return k, nil
}

// HashKey returns what is stored of an API key. A key holds 192 random bits,
// so a plain hash cannot be reversed by trying.
func HashKey(key usersync.Secret) string {
	sum := sha256.Sum256([]byte(key.Reveal()))
	return hex.EncodeToString(sum[:])
}

// CreateKey makes an API key of the organization. The key itself is returned
// here and never again. An empty organization makes a key that is not linked.
func CreateKey(ctx context.Context, s *store.Store, actor, organization string, k Key) (Key, usersync.Secret, error) {
	random := make([]byte, 24)
	_, _ = rand.Read(random) // never fails
	secret := usersync.NewSecret(keyPrefix + base64.RawURLEncoding.EncodeToString(random))
	if len(k.Scopes) == 0 {
		k.Scopes = []Scope{ScopeAll}
	}
	scopes, err := json.Marshal(k.Scopes)
	if err != nil {
		return k, usersync.Secret{}, fmt.Errorf("encode the scopes: %w", err)
	}
	row := keyRow{
		ID: usersync.NewID(usersync.PrefixKey), OrganizationID: organization, Name: k.Name, Hash: HashKey(secret),
		Hint: secret.Masked(), Scopes: string(scopes), CreatedAt: store.Micros(time.Now()), ExpiresAt: store.Micros(k.ExpiresAt.Time),
	}
	err = s.Tx(ctx, func(tx *store.Tx) error {
		if err := tx.GORM().Create(&row).Error; err != nil {
			return fmt.Errorf("insert the API key: %w", err)
		}
		return audit.Record(ctx, tx, organization, actor, "api_key.create", row.ID, "name", "scopes", "expiresAt")
	})
	if err != nil {
		return k, usersync.Secret{}, err
	}
	made, err := row.key()
	return made, secret, err
}

// ListKeys returns up to limit API keys of the organization, newest first.
func ListKeys(ctx context.Context, o *store.Org, before string, limit int) ([]Key, error) {
	return store.Page(o.GORM(ctx).Where("organization_id = ?", o.ID()), before, limit, keyRow.key)
}

// ErrNoKey is the refusal of an id that names no key of the organization.
var ErrNoKey = usersync.Errorf(usersync.CodeNotFound, "API key not found")

// GetKey returns one API key of the organization.
func GetKey(ctx context.Context, o *store.Org, id string) (Key, error) {
	var row keyRow
	err := o.GORM(ctx).First(&row, "id = ? AND organization_id = ?", id, o.ID()).Error
	if store.NotFound(err) {
		return Key{}, ErrNoKey
	}
	if err != nil {
		return Key{}, store.Classify(err)
	}
	return row.key()
}

// RevokeKey ends a key at the given time: now, or later to let it overlap with
// its successor.
func RevokeKey(ctx context.Context, o *store.Org, actor, id string, when time.Time) (key Key, err error) {
	err = o.Tx(ctx, func(tx *store.Tx) error {
		var row keyRow
		err := tx.GORM().Clauses(tx.ForUpdate()...).First(&row, "id = ? AND organization_id = ?", id, o.ID()).Error
		if store.NotFound(err) {
			return ErrNoKey
		}
		if err != nil {
			return fmt.Errorf("read the API key: %w", err)
		}
		if row.RevokedAt == 0 || row.RevokedAt > store.Micros(when) {
			row.RevokedAt = store.Micros(when)
		}
		if err := tx.GORM().Model(&keyRow{ID: id}).Update("revoked_at", row.RevokedAt).Error; err != nil {
			return fmt.Errorf("revoke the API key: %w", err)
		}
		if key, err = row.key(); err != nil {
			return err
		}
		return audit.Record(ctx, tx, o.ID(), actor, "api_key.revoke", id, "revokedAt")
	})
	return key, err
}

const keyText = `
SELECT k.scopes, k.expires_at, k.revoked_at, {now}, o.status FROM api_keys k JOIN organizations o ON o.id = k.organization_id
WHERE k.id = $1`

// On PostgreSQL a revocation waits for the transactions that have read the key, so that
// nothing is written once it has answered. SQLite has one writer.
var keyStatement = store.DefinePerEngine("tenant.key", keyText+` FOR SHARE OF k`, keyText)

// HoldKey refuses a transaction whose caller's key does not hold any more, or lacks the
// scope. It stands first in every transaction that a call writes in: the edge remembers
// keys for a second, and what it remembers may be over. The errors are those of Refuse.
func HoldKey(ctx context.Context, tx *store.Tx, id string, needs Scope) error {
	var r keyRow
	var now int64
	var status string
	err := tx.QueryRow(ctx, keyStatement, id).Scan(&r.Scopes, &r.ExpiresAt, &r.RevokedAt, &now, &status)
	if errors.Is(err, sql.ErrNoRows) {
		return ErrInvalidKey
	}
	if err != nil {
		return fmt.Errorf("read the caller's key: %w", err)
	}
	k, err := r.key()
	if err != nil {
		return err
	}
	if refusal := k.Refuse(store.At(now), status, needs); refusal != nil {
		return refusal
	}
	return nil
}

// Caller is who an API key belongs to, with what every call needs to know.
type Caller struct {
	Key          Key
	Organization Organization // zero when the key is not linked or its organization is gone
	Org          *store.Org
	At           time.Time // when this was read, by the database's clock
}

const callerText = `
SELECT k.id, k.organization_id, k.name, k.hint, k.scopes, k.created_at, k.expires_at, k.revoked_at,
    coalesce(o.id, ''), coalesce(o.name, ''), coalesce(o.status, ''), coalesce(o.salt, ''), coalesce(o.default_invite_link, ''),
    coalesce(o.default_redirection_link, ''), coalesce(o.settings, '{}'), coalesce(o.secrets, ''), coalesce(o.created_at, 0), coalesce(o.updated_at, 0), {now}
FROM api_keys k LEFT JOIN organizations o ON o.id = k.organization_id WHERE `

var (
	callerStatement      = store.Define("tenant.caller", callerText+`k.hash = $1`)
	callerOfKeyStatement = store.Define("tenant.callerOfKey", callerText+`k.id = $1`)
)

// FindCaller returns who the key with this hash belongs to; ok is false when there
// is no such key.
func FindCaller(ctx context.Context, s *store.Store, hash string) (c Caller, ok bool, err error) {
	return findCaller(ctx, s, callerStatement, hash)
}

// FindCallerOfKey is FindCaller for the id of a key.
func FindCallerOfKey(ctx context.Context, s *store.Store, id string) (c Caller, ok bool, err error) {
	return findCaller(ctx, s, callerOfKeyStatement, id)
}

func findCaller(ctx context.Context, s *store.Store, st *store.Statement, by string) (c Caller, ok bool, err error) {
	var k keyRow
	var o OrganizationRow
	var now int64
	err = s.Reader().QueryRow(ctx, st, by).Scan(
		&k.ID, &k.OrganizationID, &k.Name, &k.Hint, &k.Scopes, &k.CreatedAt, &k.ExpiresAt, &k.RevokedAt,
		&o.ID, &o.Name, &o.Status, &o.Salt, &o.DefaultInviteLink, &o.DefaultRedirectionLink, &o.Settings, &o.Secrets, &o.CreatedAt, &o.UpdatedAt, &now)
	if errors.Is(err, sql.ErrNoRows) {
		return c, false, nil
	}
	if err != nil {
		return c, false, store.Classify(err)
	}
	if c.Key, err = k.key(); err != nil {
		return c, false, fmt.Errorf("read the caller's key: %w", err)
	}
	if c.Organization, err = o.Organization(s); err != nil {
		return c, false, fmt.Errorf("read organization %q: %w", o.ID, err)
	}
	c.Org, c.At = s.Org(o.ID), store.At(now)
	return c, true, nil
}
