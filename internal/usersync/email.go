package usersync

import (
	"encoding/json"
	"log/slog"
	"strings"
)

// Email is a checked e-mail address that does not print itself. It is made by
// identity.ParseEmail; its zero value is no address.
type Email struct{ parts *emailParts }

type emailParts struct{ display, key string }

// NewEmail joins an address as it was sent with its identity key. Only
// identity.ParseEmail and the store, which keeps what that made, call it.
func NewEmail(display, key string) Email { return Email{&emailParts{display, key}} }

// Display returns the address as it was sent, trimmed, domain in ASCII lower case.
func (e Email) Display() string {
	if e.parts == nil {
		return ""
	}
	return e.parts.display
}

// Key returns the identity key: the whole address in lower case.
func (e Email) Key() string {
	if e.parts == nil {
		return ""
	}
	return e.parts.key
}

// Domain returns the part behind the last @, in lower case and punycode.
func (e Email) Domain() string {
	key := e.Key()
	return key[strings.LastIndexByte(key, '@')+1:]
}

// Local returns the part before the last @, in lower case.
func (e Email) Local() string {
	key := e.Key()
	return key[:max(strings.LastIndexByte(key, '@'), 0)]
}

// IsZero reports whether there is no address.
func (e Email) IsZero() bool { return e.parts == nil }

func (Email) String() string       { return "[email]" }
func (Email) GoString() string     { return "[email]" }
func (Email) LogValue() slog.Value { return slog.StringValue("[email]") }

// MarshalJSON writes the display form: JSON made by us goes to the tenant who
// owns the address, never to a log.
func (e Email) MarshalJSON() ([]byte, error) { return json.Marshal(e.Display()) }
