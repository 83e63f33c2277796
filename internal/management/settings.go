package management

import (
	"fmt"
	netmail "net/mail"
	"slices"
	"strings"

	"usersync/internal/access"
	"usersync/internal/identity"
	"usersync/internal/invitation"
	"usersync/internal/outbound"
	"usersync/internal/tenant"
	"usersync/internal/usersync"
)

// SettingsInput is what an operator says of an organization's settings; nil
// leaves a setting as it is.
type SettingsInput struct {
	OwnSettingsInput
	access.Input
	RateLimit *RateLimitInput `json:"rateLimit"`
	Limits    *LimitsInput    `json:"limits"`
}

// OwnSettingsInput are the settings that a tenant may change too.
type OwnSettingsInput struct {
	access.OwnInput
	ColleaguesEnabled  *bool           `json:"colleaguesEnabled"`
	ColleagueSources   *[]SourceInput  `json:"colleagueSources"`
	AliasDomains       *[][]string     `json:"aliasDomains"`
	DismissedAliases   *[][]string     `json:"dismissedAliases"`
	PersonalDomains    *[]string       `json:"personalDomains"`
	CompanyDomains     *[]string       `json:"companyDomains"`
	SMTP               *SMTPInput      `json:"smtp"`
	InvitationTemplate *TemplateInput  `json:"invitationTemplate"`
	LowCreditThreshold *int64          `json:"lowCreditThreshold"`
	ContactEmail       *string         `json:"contactEmail"`
	RetentionDays      *RetentionInput `json:"retentionDays"`
	FollowUnsubscribes *bool           `json:"followUnsubscribes"`
}

// SourceInput is one place to look for colleagues; the list is replaced as a
// whole. A key equal to its mask is the one that is stored.
type SourceInput struct {
	Name   string          `json:"name"`
	APIKey usersync.Secret `json:"apiKey"`
	URL    string          `json:"url"`
}

// SMTPInput is the part of the settings on the mail server; an empty host
// removes it. A password equal to its mask is the one that is stored.
type SMTPInput struct {
	Host     *string          `json:"host"`
	Port     *int             `json:"port"`
	Username *string          `json:"username"`
	Password *usersync.Secret `json:"password"`
	From     *string          `json:"from"`
}

// TemplateInput is the part of the settings on invitations; "" is the default.
type TemplateInput struct {
	Subject *string `json:"subject"`
	Text    *string `json:"text"`
	HTML    *string `json:"html"`
}

// RetentionInput is the part of the settings on how long things are kept, in
// days; 0 keeps them.
type RetentionInput struct {
	Requests   *int `json:"requests"`
	Events     *int `json:"events"`
	Deliveries *int `json:"deliveries"`
}

// RateLimitInput is the part of SettingsInput on rates; 0 is the default.
type RateLimitInput struct {
	Rate  *float64 `json:"rate"`
	Burst *int     `json:"burst"`
}

// LimitsInput is the part of SettingsInput on limits; 0 is the default.
type LimitsInput struct {
	WebhookEndpoints     *int `json:"webhookEndpoints"`
	FollowUps            *int `json:"followUps"`
	Connections          *int `json:"connections"`
	Imports              *int `json:"imports"`
	UnfinishedDeliveries *int `json:"unfinishedDeliveries"`
}

// Limits of the settings.
const (
	minRate      = 0.01
	maxRate      = 1_000_000
	maxLimit     = 100_000_000
	maxAliases   = 1000
	maxRetention = 3650
	maxHost      = 253 // bytes, RFC 1035
	smtpPort     = 587 // message submission, RFC 6409
)

func (in SettingsInput) validate(v *invalid, guard *outbound.Guard) {
	in.OwnSettingsInput.validate(v, guard)
	if in.RateLimit != nil {
		in.RateLimit.validate(v)
	}
	if in.Limits != nil {
		in.Limits.validate(v)
	}
}

func (in OwnSettingsInput) validate(v *invalid, guard *outbound.Guard) {
	if in.ColleagueSources != nil {
		validateSources(v, *in.ColleagueSources, guard)
	}
	if in.AliasDomains != nil {
		validateAliases(v, "settings.aliasDomains", *in.AliasDomains)
	}
	if in.DismissedAliases != nil {
		validateAliases(v, "settings.dismissedAliases", *in.DismissedAliases)
	}
	in.validateDomains(v)
	if in.SMTP != nil {
		in.SMTP.validate(v, guard)
	}
	if n := in.LowCreditThreshold; n != nil && *n < 0 {
		v.add("settings.lowCreditThreshold", "must not be negative")
	}
	if s := in.ContactEmail; s != nil && *s != "" {
		if _, err := identity.ParseEmail(*s); err != nil {
			v.add("settings.contactEmail", "must be an e-mail address, or empty")
		}
	}
	if in.InvitationTemplate != nil {
		in.InvitationTemplate.validate(v)
	}
	if in.RetentionDays != nil {
		in.RetentionDays.validate(v)
	}
}

// validateSources names the first fault only.
func validateSources(v *invalid, sources []SourceInput, guard *outbound.Guard) {
	for i, s := range sources {
		at := fmt.Sprintf("settings.colleagueSources[%d].", i)
		same := func(other SourceInput) bool { return other.Name == s.Name }
		switch {
		case !slices.Contains(tenant.Sources, s.Name):
			v.add(at+"name", "must be one of %v", tenant.Sources)
		case slices.ContainsFunc(sources[:i], same):
			v.add(at+"name", "must not be there twice")
		case s.Name != tenant.SourceHunter && !s.APIKey.IsZero():
			v.add(at+"apiKey", "belongs to directory services only")
		case s.Name != tenant.SourceHunter && s.URL != "":
			v.add(at+"url", "belongs to directory services only")
		case s.Name == tenant.SourceHunter && s.APIKey.IsZero():
			v.add(at+"apiKey", "is required")
		default:
			if !validSourceURL(v, at, s.URL, guard) {
				return
			}
			continue
		}
		return
	}
}

func validSourceURL(v *invalid, at, url string, guard *outbound.Guard) bool {
	if url == "" {
		return true
	}
	_, err := guard.CheckURL(url)
	if err != nil {
		v.add(at+"url", "%s", strings.TrimPrefix(usersync.AsError(err).Message, "The URL "))
	}
	return err == nil
}

func (in SMTPInput) validate(v *invalid, guard *outbound.Guard) {
	in.validateHost(v, guard)
	if p := in.Port; p != nil && (*p < 1 || *p > 65535) {
		v.add("settings.smtp.port", "must be 1 to 65535")
	}
	if f := in.From; f != nil {
		if _, err := netmail.ParseAddress(*f); err != nil || tooLong(*f) {
			v.add("settings.smtp.from", `must be an address like "Example Inc. <invite@example.com>"`)
		}
	}
	if u := in.Username; u != nil && tooLong(*u) {
		v.add("settings.smtp.username", "must have at most %d characters", maxText)
	}
	if p := in.Password; p != nil && tooLong(p.Reveal()) {
		v.add("settings.smtp.password", "must have at most %d characters", maxText)
	}
}

func (in SMTPInput) validateHost(v *invalid, guard *outbound.Guard) {
	if in.Host == nil || *in.Host == "" {
		return
	}
	if len(*in.Host) > maxHost || strings.ContainsAny(*in.Host, " \t\r\n/@") {
		v.add("settings.smtp.host", "must be a host name or an address, or empty for no mail server")
		return
	}
	port := smtpPort
	if in.Port != nil {
		port = *in.Port
	}
	if guard.CheckHost(*in.Host, uint16(port)) != nil { //nolint:gosec // a port beyond 65535 is refused beside this
		v.add("settings.smtp.host", "is not allowed: expected a host name or a public address")
	}
}

// validate renders each part with example values.
func (in TemplateInput) validate(v *invalid) {
	var t tenant.InvitationTemplate
	in.apply(&t)
	for _, one := range []struct {
		field string
		alone tenant.InvitationTemplate
	}{
		{"subject", tenant.InvitationTemplate{Subject: t.Subject}},
		{"text", tenant.InvitationTemplate{Text: t.Text}},
		{"html", tenant.InvitationTemplate{HTML: t.HTML}},
	} {
		if _, err := invitation.Render(one.alone, invitation.Example()); err != nil {
			place := "settings.invitationTemplate." + one.field
			v.add(place, "%s", strings.TrimPrefix(usersync.AsError(err).Message, place+": "))
		}
	}
}

func (in RetentionInput) validate(v *invalid) {
	check := func(field string, days *int) {
		if days != nil && (*days < 0 || *days > maxRetention) {
			v.add("settings.retentionDays."+field, "must be 1 to %d days, or 0 to keep them", maxRetention)
		}
	}
	check("requests", in.Requests)
	check("events", in.Events)
	check("deliveries", in.Deliveries)
}

func (in RateLimitInput) validate(v *invalid) {
	if r := in.Rate; r != nil && *r != 0 && (*r < minRate || *r > maxRate) {
		v.add("settings.rateLimit.rate", "must be %v to %d requests a second, or 0 for the default", minRate, maxRate)
	}
	if b := in.Burst; b != nil && (*b < 0 || *b > maxRate) {
		v.add("settings.rateLimit.burst", "must be 1 to %d requests, or 0 for the default", maxRate)
	}
}

func (in LimitsInput) validate(v *invalid) {
	for _, one := range []struct {
		name  string
		value *int
	}{
		{"followUps", in.FollowUps}, {"webhookEndpoints", in.WebhookEndpoints}, {"connections", in.Connections},
		{"imports", in.Imports}, {"unfinishedDeliveries", in.UnfinishedDeliveries},
	} {
		if n := one.value; n != nil && (*n < 0 || *n > maxLimit) {
			v.add("settings.limits."+one.name, "must be 1 to %d, or 0 for the default", maxLimit)
		}
	}
}

// validateAliases names the first fault only, since lists can be long.
func validateAliases(v *invalid, field string, lists [][]string) {
	total := 0
	for i, list := range lists {
		for j, domain := range list {
			if identity.Company(domain) == "" {
				v.add(fmt.Sprintf("%s[%d][%d]", field, i, j), "must be a company's domain like example.com")
				return
			}
		}
		total += len(list)
	}
	if total > maxAliases {
		v.add(field, "must hold at most %d domains", maxAliases)
	}
}

// validateDomains checks the domains that are nobody's and somebody's company.
func (in OwnSettingsInput) validateDomains(v *invalid) {
	var personal, companies []string
	if in.PersonalDomains != nil {
		personal = *in.PersonalDomains
		validateDomains(v, "settings.personalDomains", personal, func(string) string { return "" })
	}
	if in.CompanyDomains != nil {
		companies = *in.CompanyDomains
		validateDomains(v, "settings.companyDomains", companies, func(domain string) string {
			switch {
			case identity.IsLargeProvider(strings.ToLower(domain)):
				return "is a mail provider's, open to everybody"
			case slices.Contains(personal, domain):
				return "is among the personalDomains"
			}
			return ""
		})
	}
}

// validateDomains names the first fault only.
func validateDomains(v *invalid, field string, domains []string, fault func(domain string) string) {
	for i, domain := range domains {
		wrong := fault(domain)
		if identity.Company(domain) == "" {
			wrong = "must be a domain like example.com"
		}
		if wrong != "" {
			v.add(fmt.Sprintf("%s[%d]", field, i), "%s", wrong)
			return
		}
	}
	if len(domains) > maxAliases {
		v.add(field, "must hold at most %d domains", maxAliases)
	}
}

// changes collects the names of the fields that were set.
type changes []string

func set[T any](c *changes, field string, to *T, value *T) {
	if value != nil {
		*to = *value
		*c = append(*c, field)
	}
}

// apply writes what in says to s and returns the names of the settings it set.
func (in SettingsInput) apply(s *tenant.Settings) []string {
	c := changes(append(in.OwnSettingsInput.apply(s), in.ApplyTokens(s)...))
	if in.RateLimit != nil {
		set(&c, "settings.rateLimit.rate", &s.RateLimit.Rate, in.RateLimit.Rate)
		set(&c, "settings.rateLimit.burst", &s.RateLimit.Burst, in.RateLimit.Burst)
	}
	if l := in.Limits; l != nil {
		set(&c, "settings.limits.webhookEndpoints", &s.Limits.WebhookEndpoints, l.WebhookEndpoints)
		set(&c, "settings.limits.followUps", &s.Limits.FollowUps, l.FollowUps)
		set(&c, "settings.limits.connections", &s.Limits.Connections, l.Connections)
		set(&c, "settings.limits.imports", &s.Limits.Imports, l.Imports)
		set(&c, "settings.limits.unfinishedDeliveries", &s.Limits.UnfinishedDeliveries, l.UnfinishedDeliveries)
	}
	return c
}

func (in OwnSettingsInput) apply(s *tenant.Settings) []string {
	c := changes(in.ApplyProviders(s))
	if in.ColleaguesEnabled != nil {
		set(&c, "settings.colleaguesEnabled", &s.ColleaguesEnabled, &in.ColleaguesEnabled)
	}
	if in.ColleagueSources != nil {
		s.ColleagueSources, c = applySources(*s, *in.ColleagueSources), append(c, "settings.colleagueSources")
	}
	set(&c, "settings.aliasDomains", &s.AliasDomains, in.AliasDomains)
	set(&c, "settings.dismissedAliases", &s.DismissedAliases, in.DismissedAliases)
	set(&c, "settings.personalDomains", &s.PersonalDomains, in.PersonalDomains)
	set(&c, "settings.companyDomains", &s.CompanyDomains, in.CompanyDomains)
	if in.SMTP != nil {
		c = append(c, in.SMTP.apply(s)...)
	}
	if in.InvitationTemplate != nil {
		c = append(c, in.InvitationTemplate.apply(&s.InvitationTemplate)...)
	}
	if in.LowCreditThreshold != nil {
		set(&c, "settings.lowCreditThreshold", &s.LowCreditThreshold, &in.LowCreditThreshold)
	}
	set(&c, "settings.contactEmail", &s.ContactEmail, in.ContactEmail)
	set(&c, "settings.followUnsubscribes", &s.FollowUnsubscribes, in.FollowUnsubscribes)
	if r := in.RetentionDays; r != nil {
		set(&c, "settings.retentionDays.requests", &s.RetentionDays.Requests, r.Requests)
		set(&c, "settings.retentionDays.events", &s.RetentionDays.Events, r.Events)
		set(&c, "settings.retentionDays.deliveries", &s.RetentionDays.Deliveries, r.Deliveries)
	}
	return c
}

// applySources returns the new sources. A key that was sent as its mask stays as
// it is stored.
func applySources(stored tenant.Settings, sources []SourceInput) []tenant.ColleagueSource {
	out := make([]tenant.ColleagueSource, len(sources))
	for i, in := range sources {
		out[i] = tenant.ColleagueSource{Name: in.Name, URL: in.URL, APIKey: usersync.MaskedSecret{Secret: in.APIKey}}
		if old, _ := stored.Source(in.Name); old.APIKey.Masked() == in.APIKey.Reveal() {
			out[i].APIKey = old.APIKey
		}
	}
	return out
}

func (in SMTPInput) apply(s *tenant.Settings) []string {
	smtp := usersync.SMTP{Port: smtpPort}
	if s.SMTP != nil {
		smtp = *s.SMTP
	}
	var c changes
	set(&c, "settings.smtp.host", &smtp.Host, in.Host)
	set(&c, "settings.smtp.port", &smtp.Port, in.Port)
	set(&c, "settings.smtp.username", &smtp.Username, in.Username)
	set(&c, "settings.smtp.from", &smtp.From, in.From)
	if in.Password != nil && in.Password.Reveal() != smtp.Password.Masked() {
		set(&c, "settings.smtp.password", &smtp.Password.Secret, in.Password)
	}
	s.SMTP = &smtp
	if smtp.Host == "" {
		s.SMTP = nil
	}
	return c
}

func (in TemplateInput) apply(t *tenant.InvitationTemplate) []string {
	var c changes
	set(&c, "settings.invitationTemplate.subject", &t.Subject, in.Subject)
	set(&c, "settings.invitationTemplate.text", &t.Text, in.Text)
	set(&c, "settings.invitationTemplate.html", &t.HTML, in.HTML)
	return c
}

// checkWhole refuses settings that are each valid but do not work together.
func (in OrganizationInput) checkWhole(s tenant.Settings, guard *outbound.Guard) error {
	var v invalid
	if in.Settings != nil {
		v = append(in.Settings.CheckTokens(s, guard), in.Settings.CheckProviders(s, guard)...)
	}
	if s.SMTP != nil && s.SMTP.From == "" {
		v.add("settings.smtp.from", "is required with a host")
	}
	return v.err()
}
