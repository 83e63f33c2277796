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
	Settings               Settings `json:"settings"`
	CreatedAt              Time     `json:"createdAt"`
	UpdatedAt              Time     `json:"updatedAt"`
	// Salt keys the ids that are derived from e-mail addresses.
	Salt []byte `json:"-"`
}

// Statuses of an organization.
const (
	OrganizationActive   = "active"
	OrganizationDisabled = "disabled"
)

// Settings are an organization's own; the zero value is the default.
type Settings struct {
	// ColleaguesDisabled turns the colleague calls and the search off.
	ColleaguesEnabled  *bool      `json:"colleaguesEnabled,omitempty"`
	AliasDomains       [][]string `json:"aliasDomains,omitempty"`
	LowCreditThreshold *int64     `json:"lowCreditThreshold,omitempty"`
	ContactEmail       string     `json:"contactEmail,omitempty"`
	RateLimit          RateLimit  `json:"rateLimit,omitzero"`
}

// Colleagues reports whether the colleague search is on: the default.
func (s Settings) Colleagues() bool { return s.ColleaguesEnabled == nil || *s.ColleaguesEnabled }

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
	Hint         string  `json:"key"` // masked
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
