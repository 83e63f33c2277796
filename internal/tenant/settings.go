package tenant

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"

	"usersync/internal/store"
	"usersync/internal/usersync"
)

// Settings are an organization's own; the zero value is the default.
type Settings struct {
	// ColleaguesEnabled false turns the colleague calls and the search off.
	ColleaguesEnabled *bool `json:"colleaguesEnabled,omitempty"`
	// ColleagueSources are where colleagues are looked for; none means SourceUsers
	// and SourceDirectory.
	ColleagueSources []ColleagueSource `json:"colleagueSources,omitempty"`
	// AliasDomains are lists of domains that are one company each.
	AliasDomains [][]string `json:"aliasDomains,omitempty"`
	// DismissedAliases are pairs of domains that are not one company, whatever speaks
	// for it: they are not suggested again.
	DismissedAliases [][]string `json:"dismissedAliases,omitempty"`
	// PersonalDomains are domains of which people are no colleagues, and CompanyDomains
	// such as are a company's, whatever the lists say.
	PersonalDomains    []string           `json:"personalDomains,omitempty"`
	CompanyDomains     []string           `json:"companyDomains,omitempty"`
	SMTP               *usersync.SMTP     `json:"smtp,omitempty"`
	InvitationTemplate InvitationTemplate `json:"invitationTemplate,omitzero"`
	// LowCreditThreshold is the balance at which credits.low goes out, once on the
	// way down; nil is DefaultLowCredit.
	LowCreditThreshold *int64        `json:"lowCreditThreshold,omitempty"`
	ContactEmail       string        `json:"contactEmail,omitempty"`
	RateLimit          RateLimit     `json:"rateLimit,omitzero"`
	Limits             Limits        `json:"limits,omitzero"`
	RetentionDays      RetentionDays `json:"retentionDays,omitzero"`
	// FollowUnsubscribes has every platform told of who unsubscribed at one of them.
	FollowUnsubscribes bool `json:"followUnsubscribes,omitempty"`
	// JWT, Flow and Providers are of the directory dialect.
	JWT       JWT       `json:"jwt,omitzero"`
	Flow      Flow      `json:"flow,omitzero"`
	Providers Providers `json:"providers,omitzero"`
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

// SecretField is a secret among the settings, and where it is sent.
type SecretField struct {
	Secret *usersync.MaskedSecret
	// SentTo are the parts of the address, of which a change wants the secret again.
	SentTo []AddressPart
}

// AddressPart is a part of an address: its field among the settings, and its value.
type AddressPart struct{ Field, Value string }

// SecretFields returns the secrets among the settings by their place, to be
// kept apart from the rest.
func (s *Settings) SecretFields() map[string]SecretField {
	fields := map[string]SecretField{}
	if s.SMTP != nil {
		fields["smtp.password"] = SecretField{&s.SMTP.Password, []AddressPart{
			{"smtp.host", s.SMTP.Host}, {"smtp.port", strconv.Itoa(s.SMTP.Port)},
		}}
	}
	for i := range s.ColleagueSources {
		source := &s.ColleagueSources[i]
		fields["colleagueSources."+source.Name+".apiKey"] = SecretField{&source.APIKey, []AddressPart{
			{fmt.Sprintf("colleagueSources[%d].url", i), source.URL},
		}}
	}
	s.directorySecrets(fields)
	return fields
}

// Clone returns a copy that shares nothing a change could reach.
func (s Settings) Clone() Settings {
	if s.SMTP != nil {
		smtp := *s.SMTP
		s.SMTP = &smtp
	}
	s.ColleagueSources = slices.Clone(s.ColleagueSources)
	s.cloneDirectory()
	return s
}

// SecretsPlace returns the place that the sealed secrets of an organization's settings
// are bound to: sealed for one organization, they cannot be opened for another.
func SecretsPlace(id string) string { return "organizations/" + id + "/secrets" }

func openSecrets(sealer store.Sealer, r OrganizationRow, to *Settings) error {
	plain, err := sealer.Open(r.Secrets, SecretsPlace(r.ID))
	if err != nil {
		return fmt.Errorf("open the sealed settings: %w", err)
	}
	var secrets map[string]string
	if err := json.Unmarshal(plain, &secrets); err != nil {
		return fmt.Errorf("decode the sealed settings: %w", err)
	}
	for place, field := range to.SecretFields() {
		if text := secrets[place]; text != "" {
			field.Secret.Secret = usersync.NewSecret(text)
		}
	}
	return nil
}

// encodeSettings returns settings as they are stored: the text of what anybody
// may read, and the secrets sealed, "" when there are none.
func encodeSettings(sealer store.Sealer, id string, settings Settings) (open, sealed string, err error) {
	settings = settings.Clone()
	secrets := map[string]string{}
	for place, field := range settings.SecretFields() {
		if !field.Secret.IsZero() {
			secrets[place] = field.Secret.Reveal()
		}
		field.Secret.Secret = usersync.Secret{}
	}
	text, err := json.Marshal(settings)
	if err != nil {
		return string(text), "", fmt.Errorf("encode the settings: %w", err)
	}
	if len(secrets) == 0 {
		return string(text), "", nil
	}
	plain, err := json.Marshal(secrets)
	if err != nil {
		return "", "", fmt.Errorf("encode the secrets of the settings: %w", err)
	}
	if sealed, err = sealer.Seal(plain, SecretsPlace(id)); err != nil {
		return string(text), sealed, fmt.Errorf("seal the secrets of the settings: %w", err)
	}
	return string(text), sealed, nil
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
