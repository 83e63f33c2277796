package identity_test

import (
	"testing"

	"usersync/internal/identity"
)

func TestPhonesAreWrittenInTheFormOfE164(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ text, country, want string }{
		{"020 7183 8750", "GB", "+442071838750"},
		{"+44 (0)20 7183 8750", "FR", "+442071838750"},
		{"442071838750", "GB", "+442071838750"},
		{"0044 20 7183 8750", "DE", "+442071838750"},
		{"(201) 555-0123", "US", "+12015550123"},
		{"+12015550123", "", "+12015550123"},
		{"020 7183 8750", "", ""}, // of which country?
		{"12345", "GB", ""},
		{"call me", "US", ""},
		{"", "US", ""},
		{"+999123456789", "US", ""},
	} {
		if got, ok := identity.ParsePhone(c.text, c.country); got != c.want || ok != (c.want != "") {
			t.Errorf("%q in %s: got %q, %v, want %q", c.text, c.country, got, ok, c.want)
		}
	}
}
