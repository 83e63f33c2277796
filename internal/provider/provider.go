// Package provider is what an identity provider is: a service that an organization keeps
// its users in, and that is asked for one of them. Each provider has a package beneath
// this one, with a fake of it, and passes the tests of providertest.
package provider

import (
	"context"

	"usersync/internal/record"
	"usersync/internal/usersync"
)

// Provider is an organization's account at an identity provider.
type Provider interface {
	// Find returns whoever has an address. found is false when the provider knows nobody.
	// An error has code disconnected when the provider refuses our credentials or the
	// settings are wrong, rate_limited when it wants to be left alone for RetryAfter, and
	// unavailable when it gave no answer, or none that can be read. None shows a secret,
	// the address or what the provider said.
	Find(ctx context.Context, email usersync.Email) (p record.Profile, found bool, err error)
}

// Spellings returns the address as providers may keep it: in lower case, and as it was
// given where that is another text.
func Spellings(email usersync.Email) []string {
	if email.Display() == email.Key() {
		return []string{email.Key()}
	}
	return []string{email.Key(), email.Display()}
}
