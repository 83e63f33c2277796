package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"time"

	"crypto/rand"

	"usersync/internal/usersync"
)

// keyPrefix begins every API key, so that a leaked one can be recognised.
const keyPrefix = "usk_"

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

func (r keyRow) key() (usersync.Key, error) {
	k := usersync.Key{
		ID: r.ID, Organization: r.OrganizationID, Name: r.Name, Hint: r.Hint,
		CreatedAt: stamp(r.CreatedAt), ExpiresAt: stamp(r.ExpiresAt), RevokedAt: stamp(r.RevokedAt),
	}
	return k, json.Unmarshal([]byte(r.Scopes), &k.Scopes)
}

// HashKey returns what is stored of an API key. A key holds 192 random bits,
// so a plain hash cannot be reversed by trying.
func HashKey(key usersync.Secret) string {
	sum := sha256.Sum256([]byte(key.Reveal()))
	return hex.EncodeToString(sum[:])
}

// CreateKey makes an API key of the organization. The key itself is returned
// here and never again. An empty organization makes a key that is not linked.
func (s *Store) CreateKey(ctx context.Context, actor, organization string, k usersync.Key) (usersync.Key, usersync.Secret, error) {
	random := make([]byte, 24)
	_, _ = rand.Read(random) // never fails
	secret := usersync.NewSecret(keyPrefix + base64.RawURLEncoding.EncodeToString(random))
	if len(k.Scopes) == 0 {
		k.Scopes = []usersync.Scope{usersync.ScopeAll}
	}
	scopes, err := json.Marshal(k.Scopes)
	if err != nil {
		return k, usersync.Secret{}, err
	}
	row := keyRow{
		ID: usersync.NewID(usersync.PrefixKey), OrganizationID: organization, Name: k.Name, Hash: HashKey(secret),
		Hint: secret.Masked(), Scopes: string(scopes), CreatedAt: micros(time.Now()), ExpiresAt: micros(k.ExpiresAt.Time),
	}
	err = s.Tx(ctx, func(tx *Tx) error {
		if err := tx.GORM().Create(&row).Error; err != nil {
			return err
		}
		return tx.audit(ctx, organization, actor, "api_key.create", row.ID, "name", "scopes", "expiresAt")
	})
	if err != nil {
		return k, usersync.Secret{}, err
	}
	made, err := row.key()
	return made, secret, err
}

// Keys returns up to limit API keys of the organization, newest first.
func (o *Org) Keys(ctx context.Context, before string, limit int) ([]usersync.Key, error) {
	var list []keyRow
	err := page(o.GORM(ctx).Where("organization_id = ?", o.ID()), before, limit).Find(&list).Error
	if err != nil {
		return nil, classify(err)
	}
	out := make([]usersync.Key, 0, len(list))
	for _, row := range list {
		k, err := row.key()
		if err != nil {
			return nil, err
		}
		out = append(out, k)
	}
	return out, nil
}

// ErrNoKey is the refusal of an id that names no key of the organization.
var ErrNoKey = usersync.Errorf(usersync.CodeNotFound, "API key not found")

// Key returns one API key of the organization.
func (o *Org) Key(ctx context.Context, id string) (usersync.Key, error) {
	var row keyRow
	err := o.GORM(ctx).First(&row, "id = ? AND organization_id = ?", id, o.ID()).Error
	if notFound(err) {
		return usersync.Key{}, ErrNoKey
	}
	if err != nil {
		return usersync.Key{}, classify(err)
	}
	return row.key()
}

// RevokeKey ends a key at the given time: now, or later to let it overlap with
// its successor.
func (o *Org) RevokeKey(ctx context.Context, actor, id string, when time.Time) (key usersync.Key, err error) {
	err = o.Tx(ctx, func(tx *Tx) error {
		var row keyRow
		err := tx.GORM().Clauses(tx.lock()...).First(&row, "id = ? AND organization_id = ?", id, o.ID()).Error
		if notFound(err) {
			return ErrNoKey
		}
		if err != nil {
			return err
		}
		if row.RevokedAt == 0 || row.RevokedAt > micros(when) {
			row.RevokedAt = micros(when)
		}
		if err := tx.GORM().Model(&keyRow{ID: id}).Update("revoked_at", row.RevokedAt).Error; err != nil {
			return err
		}
		if key, err = row.key(); err != nil {
			return err
		}
		return tx.audit(ctx, o.ID(), actor, "api_key.revoke", id, "revokedAt")
	})
	return key, err
}

// Caller is who an API key belongs to, with what every call needs to know.
type Caller struct {
	Key          usersync.Key
	Organization usersync.Organization // zero when the key is not linked or its organization is gone
	Org          *Org
}

var callerStatement = define(`
SELECT k.id, k.organization_id, k.name, k.hint, k.scopes, k.created_at, k.expires_at, k.revoked_at,
    coalesce(o.ID(), ''), coalesce(o.name, ''), coalesce(o.status, ''), coalesce(o.salt, ''), coalesce(o.default_invite_link, ''),
    coalesce(o.default_redirection_link, ''), coalesce(o.settings, '{}'), coalesce(o.secrets, ''), coalesce(o.created_at, 0), coalesce(o.updated_at, 0)
FROM api_keys k LEFT JOIN organizations o ON o.ID() = k.organization_id WHERE k.hash = $1`)

// Caller returns who the key with this hash belongs to; ok is false when there
// is no such key.
func (s *Store) Caller(ctx context.Context, hash string) (c Caller, ok bool, err error) {
	var k keyRow
	var o organizationRow
	err = s.reader().row(ctx, callerStatement, hash).Scan(
		&k.ID, &k.OrganizationID, &k.Name, &k.Hint, &k.Scopes, &k.CreatedAt, &k.ExpiresAt, &k.RevokedAt,
		&o.ID, &o.Name, &o.Status, &o.Salt, &o.DefaultInviteLink, &o.DefaultRedirectionLink, &o.Settings, &o.Secrets, &o.CreatedAt, &o.UpdatedAt)
	if errors.Is(err, sql.ErrNoRows) {
		return c, false, nil
	}
	if err != nil {
		return c, false, classify(err)
	}
	if c.Key, err = k.key(); err != nil {
		return c, false, err
	}
	if c.Organization, err = s.organization(o); err != nil {
		return c, false, err
	}
	c.Org = s.Org(o.ID)
	return c, true, nil
}
