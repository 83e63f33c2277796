package tenant

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"usersync/internal/audit"
	"usersync/internal/store"
	"usersync/internal/usersync"
)

// Organization is a tenant: it owns users, requests and everything else.
type Organization struct {
	ID                     string        `json:"id"`
	Name                   string        `json:"name"`
	Status                 string        `json:"status"`
	DefaultInviteLink      string        `json:"defaultInviteLink"`
	DefaultRedirectionLink string        `json:"defaultRedirectionLink"`
	Tenant                 Codes         `json:"tenant"`
	Settings               Settings      `json:"settings"`
	CreatedAt              usersync.Time `json:"createdAt"`
	UpdatedAt              usersync.Time `json:"updatedAt"`
	// Salt keys the ids that are derived from e-mail addresses.
	Salt []byte `json:"-"`
}

// Codes is how the directory dialect names an organization.
type Codes struct {
	ClientGroupCode string `json:"clientGroupCode"`
	ClientCode      string `json:"clientCode"`
	PaperCode       string `json:"paperCode"`
}

// Statuses of an organization.
const (
	Active   = "active"
	Disabled = "disabled"
)

// balanceRow is a row of balances, which settling and top-ups lock first.
type balanceRow struct {
	OrganizationID  string `gorm:"primaryKey"`
	Balance         int64
	MessageSequence int64
}

func (balanceRow) TableName() string { return "balances" }

var lockOrganizationStatement = store.Define("tenant.lockOrganization", `SELECT id FROM organizations WHERE id = $1 {for update}`)

// Lock locks an organization until the transaction ends. It keeps imports and erasures
// of one organization apart.
func Lock(ctx context.Context, tx *store.Tx, id string) error {
	var locked string
	return store.Classify(tx.QueryRow(ctx, lockOrganizationStatement, id).Scan(&locked))
}

var lockSaltStatement = store.Define("tenant.lockSalt", `SELECT salt FROM organizations WHERE id = $1 {for update}`)

// LockSalt is Lock, and returns the organization's salt.
func LockSalt(ctx context.Context, tx *store.Tx, id string) ([]byte, error) {
	var text string
	if err := tx.QueryRow(ctx, lockSaltStatement, id).Scan(&text); err != nil {
		return nil, store.Classify(err)
	}
	salt, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, fmt.Errorf("decode the organization's salt: %w", err)
	}
	return salt, nil
}

// OrganizationRow is a row of the table organizations. It is exported for queries that
// read an organization together with what belongs to it.
type OrganizationRow struct {
	ID                     string `gorm:"primaryKey"`
	Name                   string
	Status                 string
	Salt                   string
	DefaultInviteLink      string
	DefaultRedirectionLink string
	ClientGroupCode        string
	ClientCode             string
	PaperCode              string
	// CodesKey finds the organization by its codes, see Codes.Key; TokenScope finds those
	// that take tokens of one issuer for one audience.
	CodesKey   string
	TokenScope string
	Settings   string
	// Secrets are those of the settings, sealed.
	Secrets   string
	CreatedAt int64 `gorm:"autoCreateTime:false"`
	UpdatedAt int64 `gorm:"autoUpdateTime:false"`
}

// TableName names the table for GORM.
func (OrganizationRow) TableName() string { return "organizations" }

// Organization returns what the row says, with the secrets of its settings opened.
func (r OrganizationRow) Organization(s *store.Store) (Organization, error) {
	return r.organization(s.Sealer())
}

func (r OrganizationRow) organization(sealer store.Sealer) (Organization, error) {
	o := Organization{
		ID: r.ID, Name: r.Name, Status: r.Status, DefaultInviteLink: r.DefaultInviteLink,
		DefaultRedirectionLink: r.DefaultRedirectionLink, CreatedAt: store.Stamp(r.CreatedAt), UpdatedAt: store.Stamp(r.UpdatedAt),
		Tenant: Codes{ClientGroupCode: r.ClientGroupCode, ClientCode: r.ClientCode, PaperCode: r.PaperCode},
	}
	salt, err := base64.StdEncoding.DecodeString(r.Salt)
	o.Salt = salt
	if err := errors.Join(err, json.Unmarshal([]byte(r.Settings), &o.Settings)); err != nil {
		return o, fmt.Errorf("decode the organization's salt and settings: %w", err)
	}
	if r.Secrets == "" {
		return o, nil
	}
	return o, openSecrets(sealer, r, &o.Settings)
}

// Create stores a new, active organization with no credits. Name
// and settings are taken from o; id, salt and times are made.
func Create(ctx context.Context, s *store.Store, actor string, o Organization) (Organization, error) {
	salt := make([]byte, 32)
	_, _ = rand.Read(salt) // never fails
	id := usersync.NewID(usersync.PrefixOrganization)
	settings, secrets, err := encodeSettings(s.Sealer(), id, o.Settings)
	if err != nil {
		return o, fmt.Errorf("create an organization: %w", err)
	}
	now := store.Micros(time.Now())
	row := OrganizationRow{
		ID: id, Name: o.Name, Status: Active,
		Salt: base64.StdEncoding.EncodeToString(salt), DefaultInviteLink: o.DefaultInviteLink,
		DefaultRedirectionLink: o.DefaultRedirectionLink, Settings: settings, Secrets: secrets, CreatedAt: now, UpdatedAt: now,
		ClientGroupCode: o.Tenant.ClientGroupCode, ClientCode: o.Tenant.ClientCode, PaperCode: o.Tenant.PaperCode,
		CodesKey: o.Tenant.Key(), TokenScope: o.Settings.JWT.scope(),
	}
	o.ID = id
	err = s.Tx(ctx, func(tx *store.Tx) error {
		if err := checkUnique(ctx, tx, o); err != nil {
			return err
		}
		if err := tx.GORM().Create(&row).Error; err != nil {
			return fmt.Errorf("insert the organization: %w", err)
		}
		if err := tx.GORM().Create(&balanceRow{OrganizationID: row.ID}).Error; err != nil {
			return fmt.Errorf("insert the organization's balance: %w", err)
		}
		return audit.Record(ctx, tx, row.ID, actor, "organization.create", row.ID, "name")
	})
	if err != nil {
		return o, err
	}
	return row.Organization(s)
}

// NextChange returns the time of a change of what was last changed at before: now, but
// later than before even when both fall into one microsecond or the clock was set back.
// So two states of a row never have the same time of change.
func NextChange(before usersync.Time) usersync.Time {
	now := time.Now().UTC().Truncate(time.Microsecond)
	if !now.After(before.Time) {
		now = before.Add(time.Microsecond)
	}
	return usersync.Time{Time: now}
}

// ErrNotFound is the refusal of an id that names no organization.
var ErrNotFound = usersync.Errorf(usersync.CodeNotFound, "Organization not found")

// Get returns one organization.
func Get(ctx context.Context, s *store.Store, id string) (Organization, error) {
	var row OrganizationRow
	err := s.GORM(ctx).First(&row, "id = ?", id).Error
	if store.NotFound(err) {
		return Organization{}, ErrNotFound
	}
	if err != nil {
		return Organization{}, store.Classify(err)
	}
	return row.Organization(s)
}

// List returns up to limit organizations, newest first, older than
// the id before when that is given.
func List(ctx context.Context, s *store.Store, before string, limit int) ([]Organization, error) {
	return store.Page(s.GORM(ctx), before, limit, func(row OrganizationRow) (Organization, error) {
		o, err := row.Organization(s)
		if err != nil {
			return o, fmt.Errorf("read organization %q: %w", row.ID, err)
		}
		return o, nil
	})
}

// Update changes one organization under a lock: change gets the
// stored values and alters them; it returns the names of what it changed.
func Update(ctx context.Context, view *store.Org, actor string, change func(*Organization) ([]string, error)) (out Organization, err error) {
	id := view.ID()
	err = view.Tx(ctx, func(tx *store.Tx) error {
		var row OrganizationRow
		err := tx.GORM().Clauses(tx.ForUpdate()...).First(&row, "id = ?", id).Error
		if store.NotFound(err) {
			return ErrNotFound
		}
		if err != nil {
			return fmt.Errorf("read the organization: %w", err)
		}
		if out, err = row.organization(tx.Sealer()); err != nil {
			return fmt.Errorf("read organization %q: %w", id, err)
		}
		fields, err := change(&out)
		if err != nil || len(fields) == 0 {
			return err
		}
		if err := checkUnique(ctx, tx, out); err != nil {
			return err
		}
		settings, secrets, err := encodeSettings(tx.Sealer(), id, out.Settings)
		if err != nil {
			return fmt.Errorf("change organization %q: %w", id, err)
		}
		out.UpdatedAt = NextChange(store.Stamp(row.UpdatedAt))
		err = tx.GORM().Model(&row).Updates(map[string]any{
			"name": out.Name, "status": out.Status, "default_invite_link": out.DefaultInviteLink,
			"default_redirection_link": out.DefaultRedirectionLink, "settings": settings, "secrets": secrets, "updated_at": store.Micros(out.UpdatedAt.Time),
			"client_group_code": out.Tenant.ClientGroupCode, "client_code": out.Tenant.ClientCode, "paper_code": out.Tenant.PaperCode,
			"codes_key": out.Tenant.Key(), "token_scope": out.Settings.JWT.scope(),
		}).Error
		if err != nil {
			return fmt.Errorf("update the organization: %w", err)
		}
		return audit.Record(ctx, tx, id, actor, "organization.update", id, fields...)
	})
	return out, err
}
