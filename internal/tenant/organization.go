package tenant

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"usersync/internal/audit"
	"usersync/internal/store"
	"usersync/internal/usersync"
)

// balanceRow is a row of balances: the first lock of settling and of top-up.
type balanceRow struct {
	OrganizationID  string `gorm:"primaryKey"`
	Balance         int64
	MessageSequence int64
}

func (balanceRow) TableName() string { return "balances" }

var lockOrganizationStatement = store.Define("tenant.lockOrganization", `SELECT id FROM organizations WHERE id = $1 {for update}`)

// Lock keeps imports and erasures of an organization apart.
func Lock(ctx context.Context, tx *store.Tx, id string) error {
	var locked string
	return store.Classify(tx.QueryRow(ctx, lockOrganizationStatement, id).Scan(&locked))
}

// Row is a row of organizations.
type Row struct {
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

func (Row) TableName() string { return "organizations" }

// FromRow returns what the row says, the secrets of its settings opened.
func FromRow(s *store.Store, r Row) (Organization, error) {
	o := Organization{
		ID: r.ID, Name: r.Name, Status: r.Status, DefaultInviteLink: r.DefaultInviteLink,
		DefaultRedirectionLink: r.DefaultRedirectionLink, CreatedAt: store.Stamp(r.CreatedAt), UpdatedAt: store.Stamp(r.UpdatedAt),
		Tenant: Codes{ClientGroupCode: r.ClientGroupCode, ClientCode: r.ClientCode, PaperCode: r.PaperCode},
	}
	salt, err := base64.StdEncoding.DecodeString(r.Salt)
	o.Salt = salt
	if err := errors.Join(err, json.Unmarshal([]byte(r.Settings), &o.Settings)); err != nil || r.Secrets == "" {
		return o, err
	}
	return o, openSecrets(s, r, &o.Settings)
}

func SettingsPlace(id string) string { return "organizations/" + id + "/secrets" }

func openSecrets(s *store.Store, r Row, to *Settings) error {
	plain, err := s.Sealer().Open(r.Secrets, SettingsPlace(r.ID))
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
func encodeSettings(s *store.Store, id string, settings Settings) (open, sealed string, err error) {
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
	sealed, err = s.Sealer().Seal(plain, SettingsPlace(id))
	return string(text), sealed, err
}

// Create stores a new, active organization with no credits. Name
// and settings are taken from o; id, salt and times are made.
func Create(ctx context.Context, s *store.Store, actor string, o Organization) (Organization, error) {
	salt := make([]byte, 32)
	_, _ = rand.Read(salt) // never fails
	id := usersync.NewID(usersync.PrefixOrganization)
	settings, secrets, err := encodeSettings(s, id, o.Settings)
	if err != nil {
		return o, err
	}
	now := store.Micros(time.Now())
	row := Row{
		ID: id, Name: o.Name, Status: Active,
		Salt: base64.StdEncoding.EncodeToString(salt), DefaultInviteLink: o.DefaultInviteLink,
		DefaultRedirectionLink: o.DefaultRedirectionLink, Settings: settings, Secrets: secrets, CreatedAt: now, UpdatedAt: now,
		ClientGroupCode: o.Tenant.ClientGroupCode, ClientCode: o.Tenant.ClientCode, PaperCode: o.Tenant.PaperCode,
	}
	err = s.Tx(ctx, func(tx *store.Tx) error {
		if err := tx.GORM().Create(&row).Error; err != nil {
			return err
		}
		if err := tx.GORM().Create(&balanceRow{OrganizationID: row.ID}).Error; err != nil {
			return err
		}
		return audit.Record(ctx, tx, row.ID, actor, "organization.create", row.ID, "name")
	})
	if err != nil {
		return o, err
	}
	return FromRow(s, row)
}

// ErrNotFound is the refusal of an id that names no organization.
var ErrNotFound = usersync.Errorf(usersync.CodeNotFound, "Organization not found")

// Get returns one organization.
func Get(ctx context.Context, s *store.Store, id string) (Organization, error) {
	var row Row
	err := s.GORM(ctx).First(&row, "id = ?", id).Error
	if store.NotFound(err) {
		return Organization{}, ErrNotFound
	}
	if err != nil {
		return Organization{}, store.Classify(err)
	}
	return FromRow(s, row)
}

// List returns up to limit organizations, newest first, older than
// the id before when that is given.
func List(ctx context.Context, s *store.Store, before string, limit int) ([]Organization, error) {
	var list []Row
	if err := store.Page(s.GORM(ctx), before, limit).Find(&list).Error; err != nil {
		return nil, store.Classify(err)
	}
	out := make([]Organization, 0, len(list))
	for _, row := range list {
		o, err := FromRow(s, row)
		if err != nil {
			return nil, err
		}
		out = append(out, o)
	}
	return out, nil
}

// Update changes one organization under a lock: change gets the
// stored values and alters them; it returns the names of what it changed.
func Update(ctx context.Context, s *store.Store, actor, id string, change func(*Organization) ([]string, error)) (out Organization, err error) {
	err = s.Tx(ctx, func(tx *store.Tx) error {
		var row Row
		err := tx.GORM().Clauses(tx.ForUpdate()...).First(&row, "id = ?", id).Error
		if store.NotFound(err) {
			return ErrNotFound
		}
		if err != nil {
			return err
		}
		if out, err = FromRow(s, row); err != nil {
			return err
		}
		fields, err := change(&out)
		if err != nil || len(fields) == 0 {
			return err
		}
		settings, secrets, err := encodeSettings(s, id, out.Settings)
		if err != nil {
			return err
		}
		out.UpdatedAt = usersync.Time{Time: time.Now().UTC()}
		err = tx.GORM().Model(&row).Updates(map[string]any{
			"name": out.Name, "status": out.Status, "default_invite_link": out.DefaultInviteLink,
			"default_redirection_link": out.DefaultRedirectionLink, "settings": settings, "secrets": secrets, "updated_at": store.Micros(out.UpdatedAt.Time),
			"client_group_code": out.Tenant.ClientGroupCode, "client_code": out.Tenant.ClientCode, "paper_code": out.Tenant.PaperCode,
		}).Error
		if err != nil {
			return err
		}
		return audit.Record(ctx, tx, id, actor, "organization.update", id, fields...)
	})
	return out, err
}

// Organization is the tenant; it owns everything else.
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

// Settings are an organization's own; the zero value is the default.
type Settings struct {
	// ColleaguesEnabled false turns the colleague calls and the search off.
	ColleaguesEnabled *bool `json:"colleaguesEnabled,omitempty"`
	// ColleagueSources are where colleagues are looked for; none means SourceUsers
	// and SourceDirectory.
	ColleagueSources []ColleagueSource `json:"colleagueSources,omitempty"`
	// AliasDomains are lists of domains that are one company each.
	AliasDomains       [][]string         `json:"aliasDomains,omitempty"`
	SMTP               *usersync.SMTP     `json:"smtp,omitempty"`
	InvitationTemplate InvitationTemplate `json:"invitationTemplate,omitzero"`
	// LowCreditThreshold is the balance at which credits.low goes out, once on the
	// way down; nil is DefaultLowCredit.
	LowCreditThreshold *int64        `json:"lowCreditThreshold,omitempty"`
	ContactEmail       string        `json:"contactEmail,omitempty"`
	RateLimit          RateLimit     `json:"rateLimit,omitzero"`
	RetentionDays      RetentionDays `json:"retentionDays,omitzero"`
}

// DefaultLowCredit is the balance below which an organization is warned that
// sets no threshold.
const DefaultLowCredit = 10

// LowCredit returns the threshold in force.
func (s Settings) LowCredit() int64 {
	if s.LowCreditThreshold == nil {
		return DefaultLowCredit
	}
	return *s.LowCreditThreshold
}

// Colleagues reports whether the colleague search is on: the default.
func (s Settings) Colleagues() bool { return s.ColleaguesEnabled == nil || *s.ColleaguesEnabled }

// The sources of the colleague search.
const (
	SourceUsers     = "users"     // the organization's users and the colleagues made by hand
	SourceDirectory = "directory" // the people it imported
	SourceHunter    = "hunter"    // Hunter's domain search
)

// Sources lists the names of all sources.
var Sources = []string{SourceUsers, SourceDirectory, SourceHunter}

// ColleagueSource is one place where colleagues are looked for.
type ColleagueSource struct {
	Name string `json:"name"`
	// APIKey and URL belong to directory services; an empty URL is the service's own.
	APIKey usersync.MaskedSecret `json:"apiKey,omitzero"`
	URL    string                `json:"url,omitempty"`
}

// Source returns the settings of a source; ok is false when it is off.
func (s Settings) Source(name string) (source ColleagueSource, ok bool) {
	if len(s.ColleagueSources) == 0 {
		return ColleagueSource{Name: name}, name != SourceHunter
	}
	for _, source := range s.ColleagueSources {
		if source.Name == name {
			return source, true
		}
	}
	return ColleagueSource{}, false
}

// InvitationTemplate is the text of an organization's invitations; empty parts
// are the defaults.
type InvitationTemplate struct {
	Subject string `json:"subject,omitempty"`
	Text    string `json:"text,omitempty"`
	HTML    string `json:"html,omitempty"`
}

// RetentionDays says how long what is finished is kept, in days; 0 is the
// default.
type RetentionDays struct {
	Requests   int `json:"requests,omitempty"`
	Events     int `json:"events,omitempty"`
	Deliveries int `json:"deliveries,omitempty"`
}

// SecretFields returns the secrets among the settings by their place, to be
// kept apart from the rest.
func (s *Settings) SecretFields() map[string]*usersync.MaskedSecret {
	fields := map[string]*usersync.MaskedSecret{}
	if s.SMTP != nil {
		fields["smtp.password"] = &s.SMTP.Password
	}
	for i := range s.ColleagueSources {
		fields["colleagueSources."+s.ColleagueSources[i].Name+".apiKey"] = &s.ColleagueSources[i].APIKey
	}
	return fields
}

// Clone returns a copy that shares nothing a change could reach.
func (s Settings) Clone() Settings {
	if s.SMTP != nil {
		smtp := *s.SMTP
		s.SMTP = &smtp
	}
	s.ColleagueSources = slices.Clone(s.ColleagueSources)
	return s
}

// RateLimit bounds the calls of one API key.
type RateLimit struct {
	Rate  float64 `json:"rate,omitempty"`  // requests a second
	Burst int     `json:"burst,omitempty"` // requests at once
}

// DefaultRateLimit holds where an organization sets none.
var DefaultRateLimit = RateLimit{Rate: 2000, Burst: 4000}

// OrDefault fills what is not set.
func (l RateLimit) OrDefault() RateLimit {
	if l.Rate <= 0 {
		l.Rate = DefaultRateLimit.Rate
	}
	if l.Burst <= 0 {
		l.Burst = max(int(2*l.Rate), 1)
	}
	return l
}

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
	ScopeAll        Scope = "*"
)

// Scopes lists every scope.
var Scopes = []Scope{ScopeSync, ScopeRead, ScopeColleagues, ScopeMarketing, ScopeEvents, ScopeManage, ScopeErase, ScopeAll}

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
