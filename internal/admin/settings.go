package admin

import (
	"fmt"

	"usersync/internal/person"
	"usersync/internal/usersync"
)

// SettingsInput is what an operator says of an organization's settings; nil
// leaves a setting as it is.
type SettingsInput struct {
	ColleaguesEnabled  *bool           `json:"colleaguesEnabled"`
	AliasDomains       *[][]string     `json:"aliasDomains"`
	LowCreditThreshold *int64          `json:"lowCreditThreshold"`
	ContactEmail       *string         `json:"contactEmail"`
	RateLimit          *RateLimitInput `json:"rateLimit"`
}

// RateLimitInput is the part of SettingsInput on rates; 0 is the default.
type RateLimitInput struct {
	Rate  *float64 `json:"rate"`
	Burst *int     `json:"burst"`
}

// Limits of the settings.
const (
	minRate    = 0.01
	maxRate    = 1_000_000
	maxAliases = 1000
)

func (in SettingsInput) validate(v *invalid) {
	if in.AliasDomains != nil {
		validateAliases(v, *in.AliasDomains)
	}
	if n := in.LowCreditThreshold; n != nil && *n < 0 {
		v.add("settings.lowCreditThreshold", "must not be negative")
	}
	if s := in.ContactEmail; s != nil && *s != "" {
		if _, err := person.ParseEmail(*s); err != nil {
			v.add("settings.contactEmail", "must be an e-mail address, or empty")
		}
	}
	if in.RateLimit != nil {
		in.RateLimit.validate(v)
	}
}

func (in RateLimitInput) validate(v *invalid) {
	if r := in.Rate; r != nil && *r != 0 && (*r < minRate || *r > maxRate) {
		v.add("settings.rateLimit.rate", "must be %v to %d requests a second, or 0 for the default", minRate, maxRate)
	}
	if b := in.Burst; b != nil && (*b < 0 || *b > maxRate) {
		v.add("settings.rateLimit.burst", "must be 1 to %d requests, or 0 for the default", maxRate)
	}
}

// validateAliases names the first fault only: lists can be long.
func validateAliases(v *invalid, lists [][]string) {
	total := 0
	for i, list := range lists {
		for j, domain := range list {
			if person.Company(domain) == "" {
				v.add(fmt.Sprintf("settings.aliasDomains[%d][%d]", i, j), "must be a company's domain like example.com")
				return
			}
		}
		total += len(list)
	}
	if total > maxAliases {
		v.add("settings.aliasDomains", "must hold at most %d domains", maxAliases)
	}
}

// apply writes what in says to s and returns the names of the settings it set.
func (in SettingsInput) apply(s *usersync.Settings) []string {
	var fields []string
	if in.ColleaguesEnabled != nil {
		s.ColleaguesEnabled, fields = in.ColleaguesEnabled, append(fields, "settings.colleaguesEnabled")
	}
	if in.AliasDomains != nil {
		s.AliasDomains, fields = *in.AliasDomains, append(fields, "settings.aliasDomains")
	}
	if in.LowCreditThreshold != nil {
		s.LowCreditThreshold, fields = in.LowCreditThreshold, append(fields, "settings.lowCreditThreshold")
	}
	if in.ContactEmail != nil {
		s.ContactEmail, fields = *in.ContactEmail, append(fields, "settings.contactEmail")
	}
	if in.RateLimit != nil {
		fields = append(fields, in.RateLimit.apply(&s.RateLimit)...)
	}
	return fields
}

func (in RateLimitInput) apply(l *usersync.RateLimit) []string {
	var fields []string
	if in.Rate != nil {
		l.Rate, fields = *in.Rate, append(fields, "settings.rateLimit.rate")
	}
	if in.Burst != nil {
		l.Burst, fields = *in.Burst, append(fields, "settings.rateLimit.burst")
	}
	return fields
}
