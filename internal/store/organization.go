package store

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"time"

	"usersync/internal/usersync"
)

// organizationRow is a row of organizations.
type organizationRow struct {
	ID                     string `gorm:"primaryKey"`
	Name                   string
	Status                 string
	Salt                   string
	DefaultInviteLink      string
	DefaultRedirectionLink string
	ClientGroupCode        string
	ClientCode             string
	PaperCode              string
	Settings               string
	// Secrets are those of the settings, sealed.
	Secrets   string
	CreatedAt int64 `gorm:"autoCreateTime:false"`
	UpdatedAt int64 `gorm:"autoUpdateTime:false"`
}

func (organizationRow) TableName() string { return "organizations" }

// organization returns what the row says, the secrets of its settings opened.
func (s *Store) organization(r organizationRow) (usersync.Organization, error) {
	o := usersync.Organization{
		ID: r.ID, Name: r.Name, Status: r.Status, DefaultInviteLink: r.DefaultInviteLink,
		DefaultRedirectionLink: r.DefaultRedirectionLink, CreatedAt: stamp(r.CreatedAt), UpdatedAt: stamp(r.UpdatedAt),
		Tenant: usersync.Tenant{ClientGroupCode: r.ClientGroupCode, ClientCode: r.ClientCode, PaperCode: r.PaperCode},
	}
	salt, err := base64.StdEncoding.DecodeString(r.Salt)
	o.Salt = salt
	if err := errors.Join(err, json.Unmarshal([]byte(r.Settings), &o.Settings)); err != nil || r.Secrets == "" {
		return o, err
	}
	return o, s.openSecrets(r, &o.Settings)
}

func settingsPlace(id string) string { return "organizations/" + id + "/secrets" }

func (s *Store) openSecrets(r organizationRow, to *usersync.Settings) error {
	plain, err := s.sealer().Open(r.Secrets, settingsPlace(r.ID))
	if err != nil {
		return err
	}
	var secrets map[string]string
	if err := json.Unmarshal(plain, &secrets); err != nil {
		return err
	}
	for place, field := range to.SecretFields() {
		if text := secrets[place]; text != "" {
			field.Secret = usersync.NewSecret(text)
		}
	}
	return nil
}

// encodeSettings returns settings as they are stored: the text of what anybody
// may read, and the secrets sealed, "" when there are none.
func (s *Store) encodeSettings(id string, settings usersync.Settings) (open, sealed string, err error) {
	settings = settings.Clone()
	secrets := map[string]string{}
	for place, field := range settings.SecretFields() {
		if !field.IsZero() {
			secrets[place] = field.Reveal()
		}
		field.Secret = usersync.Secret{}
	}
	text, err := json.Marshal(settings)
	if err != nil || len(secrets) == 0 {
		return string(text), "", err
	}
	plain, err := json.Marshal(secrets)
	if err != nil {
		return "", "", err
	}
	sealed, err = s.sealer().Seal(plain, settingsPlace(id))
	return string(text), sealed, err
}

// CreateOrganization stores a new, active organization with no credits. Name
// and settings are taken from o; id, salt and times are made.
func (s *Store) CreateOrganization(ctx context.Context, actor string, o usersync.Organization) (usersync.Organization, error) {
	salt := make([]byte, 32)
	_, _ = rand.Read(salt) // never fails
	id := usersync.NewID(usersync.PrefixOrganization)
	settings, secrets, err := s.encodeSettings(id, o.Settings)
	if err != nil {
		return o, err
	}
	now := micros(time.Now())
	row := organizationRow{
		ID: id, Name: o.Name, Status: usersync.OrganizationActive,
		Salt: base64.StdEncoding.EncodeToString(salt), DefaultInviteLink: o.DefaultInviteLink,
		DefaultRedirectionLink: o.DefaultRedirectionLink, Settings: settings, Secrets: secrets, CreatedAt: now, UpdatedAt: now,
		ClientGroupCode: o.Tenant.ClientGroupCode, ClientCode: o.Tenant.ClientCode, PaperCode: o.Tenant.PaperCode,
	}
	err = s.Tx(ctx, func(tx *Tx) error {
		if err := tx.GORM().Create(&row).Error; err != nil {
			return err
		}
		if err := tx.GORM().Create(&balanceRow{OrganizationID: row.ID}).Error; err != nil {
			return err
		}
		return tx.audit(ctx, row.ID, actor, "organization.create", row.ID, "name")
	})
	if err != nil {
		return o, err
	}
	return s.organization(row)
}

// ErrNoOrganization is the refusal of an id that names no organization.
var ErrNoOrganization = usersync.Errorf(usersync.CodeNotFound, "Organization not found")

// Organization returns one organization.
func (s *Store) Organization(ctx context.Context, id string) (usersync.Organization, error) {
	var row organizationRow
	err := s.GORM(ctx).First(&row, "id = ?", id).Error
	if notFound(err) {
		return usersync.Organization{}, ErrNoOrganization
	}
	if err != nil {
		return usersync.Organization{}, classify(err)
	}
	return s.organization(row)
}

// Organizations returns up to limit organizations, newest first, older than
// the id before when that is given.
func (s *Store) Organizations(ctx context.Context, before string, limit int) ([]usersync.Organization, error) {
	var list []organizationRow
	if err := page(s.GORM(ctx), before, limit).Find(&list).Error; err != nil {
		return nil, classify(err)
	}
	out := make([]usersync.Organization, 0, len(list))
	for _, row := range list {
		o, err := s.organization(row)
		if err != nil {
			return nil, err
		}
		out = append(out, o)
	}
	return out, nil
}

// UpdateOrganization changes one organization under a lock: change gets the
// stored values and alters them; it returns the names of what it changed.
func (s *Store) UpdateOrganization(ctx context.Context, actor, id string, change func(*usersync.Organization) ([]string, error)) (out usersync.Organization, err error) {
	err = s.Tx(ctx, func(tx *Tx) error {
		var row organizationRow
		err := tx.GORM().Clauses(tx.lock()...).First(&row, "id = ?", id).Error
		if notFound(err) {
			return ErrNoOrganization
		}
		if err != nil {
			return err
		}
		if out, err = s.organization(row); err != nil {
			return err
		}
		fields, err := change(&out)
		if err != nil || len(fields) == 0 {
			return err
		}
		settings, secrets, err := s.encodeSettings(id, out.Settings)
		if err != nil {
			return err
		}
		out.UpdatedAt = usersync.Time{Time: time.Now().UTC()}
		err = tx.GORM().Model(&row).Updates(map[string]any{
			"name": out.Name, "status": out.Status, "default_invite_link": out.DefaultInviteLink,
			"default_redirection_link": out.DefaultRedirectionLink, "settings": settings, "secrets": secrets, "updated_at": micros(out.UpdatedAt.Time),
			"client_group_code": out.Tenant.ClientGroupCode, "client_code": out.Tenant.ClientCode, "paper_code": out.Tenant.PaperCode,
		}).Error
		if err != nil {
			return err
		}
		return tx.audit(ctx, id, actor, "organization.update", id, fields...)
	})
	return out, err
}
