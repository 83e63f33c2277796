package management

import (
	"encoding/json"
	"maps"
	"net/url"
	"slices"
	"strings"

	"usersync/internal/connector"
	"usersync/internal/tenant"
)

// This file binds stored secrets to where they are sent. Whoever may change a setting
// must not be able to have a stored secret sent to a server of their own, so an address
// changes only together with the secrets that go along to it.

// moved returns the field of the first part of a destination that leads elsewhere than
// before, "" when all lead to the same place.
func moved(before, after []tenant.AddressPart) string {
	for i, part := range after {
		was := ""
		if i < len(before) {
			was = before[i].Value
		}
		if !sameAddress(was, part.Value) {
			return part.Field
		}
	}
	return ""
}

// sameAddress reports whether two addresses lead to one place: scheme, host, port and
// path agree. A text that is no URL, such as the name of a host, is compared as a whole.
func sameAddress(a, b string) bool {
	x, errX := url.Parse(a)
	y, errY := url.Parse(b)
	if errX != nil || errY != nil || x.Host == "" || y.Host == "" {
		return strings.EqualFold(a, b)
	}
	path := func(u *url.URL) string { return strings.TrimRight(u.EscapedPath(), "/") }
	return x.Scheme == y.Scheme && strings.EqualFold(x.Hostname(), y.Hostname()) && portOf(x) == portOf(y) && path(x) == path(y)
}

// portOf returns the port of a URL, also where it is the scheme's own and left out.
func portOf(u *url.URL) string {
	if port := u.Port(); port != "" {
		return port
	}
	return map[string]string{"https": "443", "http": "80"}[u.Scheme]
}

// wantSecret notes that an address needs the secret which goes along to it.
func (v *invalid) wantSecret(address, secret string) {
	v.add(address, "needs %s to be sent with it: stored secrets do not go to another address", secret)
}

// checkDestinations refuses settings that have a stored secret sent elsewhere. A secret
// that was kept is the stored one itself; one that was sent is another, though it may
// say the same.
func checkDestinations(before, after *tenant.Settings) error {
	var v invalid
	stored, kept := before.SecretFields(), after.SecretFields()
	for _, place := range slices.Sorted(maps.Keys(kept)) {
		was, is := stored[place], kept[place]
		if is.Secret.IsZero() || was.Secret == nil || *was.Secret != *is.Secret {
			continue
		}
		if field := moved(was.SentTo, is.SentTo); field != "" {
			v.wantSecret("settings."+field, "its "+place[strings.LastIndexByte(place, '.')+1:])
		}
	}
	return v.err()
}

// addressesOf returns the settings of a connection that say where calls go.
func addressesOf(kind connector.Platform, settings map[string]json.RawMessage) []tenant.AddressPart {
	var parts []tenant.AddressPart
	for _, f := range kind.Settings {
		if !f.IsAddress() {
			continue
		}
		text := string(settings[f.Name])
		_ = json.Unmarshal(settings[f.Name], &text) // what is no text is wrong, as opening the connection says
		parts = append(parts, tenant.AddressPart{Field: f.Name, Value: text})
	}
	return parts
}
