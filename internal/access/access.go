// Package access reads what operators and tenants set up for the directory dialect: whose
// tokens are taken, and which identity provider is asked.
package access

import (
	"strings"

	"usersync/internal/issuer"
	"usersync/internal/outbound"
	"usersync/internal/providers"
	"usersync/internal/tenant"
	"usersync/internal/usersync"
)

// Input is the operator's part: whoever decides whose tokens speak for an organization
// decides who reads its users.
type Input struct {
	// JWT is replaced as a whole; {} removes it. A secret equal to its mask is the one
	// that is stored.
	JWT *tenant.JWT `json:"jwt"`
}

// OwnInput is the tenant's part.
type OwnInput struct {
	Flow *FlowInput `json:"flow"`
	// Providers are replaced one by one; {} removes one.
	Providers *tenant.Providers `json:"providers"`
}

// FlowInput is what is said of where users are looked up.
type FlowInput struct {
	UserProvider *string `json:"userProvider"`
}

// ApplyProviders writes what in says to s and returns the names of the settings it set.
func (in OwnInput) ApplyProviders(s *tenant.Settings) (changed []string) {
	if in.Flow != nil && in.Flow.UserProvider != nil {
		s.Flow.UserProvider, changed = *in.Flow.UserProvider, append(changed, "settings.flow.userProvider")
	}
	if in.Providers != nil {
		s.Providers, changed = s.Providers.Change(*in.Providers), append(changed, "settings.providers")
	}
	return changed
}

// CheckProviders returns what is wrong with the settings that result.
func (in OwnInput) CheckProviders(s tenant.Settings, guard *outbound.Guard) []usersync.FieldError {
	if in.Flow == nil && in.Providers == nil {
		return nil
	}
	return providers.Validate(s.Flow, s.Providers, guard)
}

// ApplyTokens writes what in says to s and returns the names of the settings it set.
func (in Input) ApplyTokens(s *tenant.Settings) []string {
	if in.JWT == nil {
		return nil
	}
	s.JWT = s.JWT.Change(*in.JWT)
	return []string{"settings.jwt"}
}

// CheckTokens returns what is wrong with the settings that result.
func (in Input) CheckTokens(s tenant.Settings, guard *outbound.Guard) []usersync.FieldError {
	if in.JWT == nil {
		return nil
	}
	return issuer.Validate(s.JWT, func(address string) error {
		_, err := guard.CheckURL(address)
		return err
	})
}

// ValidCode reports whether a text can stand in a header that names an organization:
// ASCII, without spaces around it.
func ValidCode(code string) bool {
	return strings.TrimSpace(code) == code && !strings.ContainsFunc(code, func(r rune) bool { return r < ' ' || r > '~' })
}
