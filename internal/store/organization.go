package store

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"usersync/internal/usersync"
)

// Org is one tenant's view of the database: everything it returns and changes
// belongs to that organization. Handlers of tenants' calls get an Org, never a
// Store.
type Org struct {
	store *Store
	id    string
}

// Org returns the view of one organization.
func (s *Store) Org(id string) *Org { return &Org{s, id} }

// ID returns the organization's id.
func (o *Org) ID() string { return o.id }

// organizationRow is a row of organizations.
type organizationRow struct {
	ID                     string `gorm:"primaryKey"`
	Name                   string
	Status                 string
	Salt                   string
	DefaultInviteLink      string
	DefaultRedirectionLink string
	Settings               string
	CreatedAt              int64 `gorm:"autoCreateTime:false"`
	UpdatedAt              int64 `gorm:"autoUpdateTime:false"`
}

func (organizationRow) TableName() string { return "organizations" }

func (r organizationRow) organization() (usersync.Organization, error) {
	o := usersync.Organization{
		ID: r.ID, Name: r.Name, Status: r.Status, DefaultInviteLink: r.DefaultInviteLink,
		DefaultRedirectionLink: r.DefaultRedirectionLink, CreatedAt: stamp(r.CreatedAt), UpdatedAt: stamp(r.UpdatedAt),
	}
	salt, err := base64.StdEncoding.DecodeString(r.Salt)
	o.Salt = salt
	return o, errors.Join(err, json.Unmarshal([]byte(r.Settings), &o.Settings))
}

// CreateOrganization stores a new, active organization with no credits. Name
// and settings are taken from o; id, salt and times are made.
func (s *Store) CreateOrganization(ctx context.Context, actor string, o usersync.Organization) (usersync.Organization, error) {
	salt := make([]byte, 32)
	_, _ = rand.Read(salt) // never fails
	settings, err := json.Marshal(o.Settings)
	if err != nil {
		return o, err
	}
	now := micros(time.Now())
	row := organizationRow{
		ID: usersync.NewID(usersync.PrefixOrganization), Name: o.Name, Status: usersync.OrganizationActive,
		Salt: base64.StdEncoding.EncodeToString(salt), DefaultInviteLink: o.DefaultInviteLink,
		DefaultRedirectionLink: o.DefaultRedirectionLink, Settings: string(settings), CreatedAt: now, UpdatedAt: now,
	}
	err = s.Tx(ctx, func(tx *Tx) error {
		if err := tx.gorm.Create(&row).Error; err != nil {
			return err
		}
		if err := tx.gorm.Create(&balanceRow{OrganizationID: row.ID}).Error; err != nil {
			return err
		}
		return tx.audit(ctx, row.ID, actor, "organization.create", row.ID, "name")
	})
	if err != nil {
		return o, err
	}
	return row.organization()
}

// ErrNoOrganization is the refusal of an id that names no organization.
var ErrNoOrganization = usersync.Errorf(usersync.CodeNotFound, "Organization not found")

// Organization returns one organization.
func (s *Store) Organization(ctx context.Context, id string) (usersync.Organization, error) {
	var row organizationRow
	err := s.read.WithContext(ctx).First(&row, "id = ?", id).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return usersync.Organization{}, ErrNoOrganization
	}
	if err != nil {
		return usersync.Organization{}, classify(err)
	}
	return row.organization()
}

// Organizations returns up to limit organizations, newest first, older than
// the id before when that is given.
func (s *Store) Organizations(ctx context.Context, before string, limit int) ([]usersync.Organization, error) {
	var list []organizationRow
	if err := page(s.read.WithContext(ctx), before, limit).Find(&list).Error; err != nil {
		return nil, classify(err)
	}
	out := make([]usersync.Organization, 0, len(list))
	for _, row := range list {
		o, err := row.organization()
		if err != nil {
			return nil, err
		}
		out = append(out, o)
	}
	return out, nil
}

// page narrows a query to one page of a list that is ordered by id, newest first.
func page(db *gorm.DB, before string, limit int) *gorm.DB {
	if before != "" {
		db = db.Where("id < ?", before)
	}
	return db.Order("id DESC").Limit(limit)
}

// UpdateOrganization changes one organization under a lock: change gets the
// stored values and alters them; it returns the names of what it changed.
func (s *Store) UpdateOrganization(ctx context.Context, actor, id string, change func(*usersync.Organization) ([]string, error)) (out usersync.Organization, err error) {
	err = s.Tx(ctx, func(tx *Tx) error {
		var row organizationRow
		err := tx.gorm.Clauses(tx.lock()...).First(&row, "id = ?", id).Error
		if errors.Is(err, gorm.ErrRecordNotFound) {
			return ErrNoOrganization
		}
		if err != nil {
			return err
		}
		if out, err = row.organization(); err != nil {
			return err
		}
		fields, err := change(&out)
		if err != nil || len(fields) == 0 {
			return err
		}
		settings, err := json.Marshal(out.Settings)
		if err != nil {
			return err
		}
		out.UpdatedAt = usersync.Time{Time: time.Now().UTC()}
		err = tx.gorm.Model(&row).Updates(map[string]any{
			"name": out.Name, "status": out.Status, "default_invite_link": out.DefaultInviteLink,
			"default_redirection_link": out.DefaultRedirectionLink, "settings": string(settings), "updated_at": micros(out.UpdatedAt.Time),
		}).Error
		if err != nil {
			return err
		}
		return tx.audit(ctx, id, actor, "organization.update", id, fields...)
	})
	return out, err
}

// lock returns the clause that locks the rows a query reads: nothing on
// SQLite, whose transactions begin by taking the one lock there is.
func (tx *Tx) lock() []clause.Expression {
	if tx.engine == sqlite {
		return nil
	}
	return []clause.Expression{clause.Locking{Strength: clause.LockingStrengthUpdate}}
}
