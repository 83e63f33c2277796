package usersync

import (
	"slices"
	"time"
)

// Organization is the tenant; it owns everything else.
type Organization struct {
	ID                     string   `json:"id"`
	Name                   string   `json:"name"`
	Status                 string   `json:"status"`
	DefaultInviteLink      string   `json:"defaultInviteLink"`
	DefaultRedirectionLink string   `json:"defaultRedirectionLink"`
	Tenant                 Tenant   `json:"tenant"`
	Settings               Settings `json:"settings"`
	CreatedAt              Time     `json:"createdAt"`
	UpdatedAt              Time     `json:"updatedAt"`
	// Salt keys the ids that are derived from e-mail addresses.
	Salt []byte `json:"-"`
}

// Tenant is how the directory dialect names an organization.
type Tenant struct {
	ClientGroupCode string `json:"clientGroupCode"`
	ClientCode      string `json:"clientCode"`
	PaperCode       string `json:"paperCode"`
}

// Statuses of an organization.
const (
	OrganizationActive   = "active"
	OrganizationDisabled = "disabled"
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
	SMTP               *SMTP              `json:"smtp,omitempty"`
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
	APIKey MaskedSecret `json:"apiKey,omitzero"`
	URL    string       `json:"url,omitempty"`
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

// SMTP is the mail server that an organization's invitations go through.
type SMTP struct {
	Host     string       `json:"host"`
	Port     int          `json:"port"`
	Username string       `json:"username,omitempty"`
	Password MaskedSecret `json:"password,omitzero"`
	// From is an address, with a name or without.
	From string `json:"from"`
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
func (s *Settings) SecretFields() map[string]*MaskedSecret {
	fields := map[string]*MaskedSecret{}
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
	ID           string  `json:"id"`
	Organization string  `json:"-"`
	Name         string  `json:"name"`
	Hint         string  `json:"key"` // the visible ending, see Secret.Masked; never the key
	Scopes       []Scope `json:"scopes"`
	CreatedAt    Time    `json:"createdAt"`
	ExpiresAt    Time    `json:"expiresAt,omitzero"`
	RevokedAt    Time    `json:"revokedAt,omitzero"`
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

// Entry is a line of the append-only ledger. The balance is the sum of all
// amounts.
type Entry struct {
	ID           string `json:"id"`
	Kind         string `json:"kind"`   // top_up or charge
	Amount       int64  `json:"amount"` // in credits; negative for a charge
	RequestID    string `json:"requestId,omitempty"`
	Reference    string `json:"reference,omitempty"`
	BalanceAfter int64  `json:"balance"`
	CreatedAt    Time   `json:"createdAt"`
}

// Kinds of ledger entries.
const (
	EntryTopUp  = "top_up"
	EntryCharge = "charge"
)
