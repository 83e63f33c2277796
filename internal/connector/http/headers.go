package httpdest

import (
	"net/http"
	"slices"
	"strings"

	"usersync/internal/usersync"
)

// reserved are headers that are ours to set.
var reserved = []string{"Connection", "Content-Length", "Host", "Te", "Trailer", "Transfer-Encoding", "Upgrade"}

// tokens are the characters of a header's name (RFC 9110, section 5.6.2) that are
// neither letters nor digits.
const tokens = "!#$%&'*+-.^_`|~"

// headers returns those of every request and adds what is wrong with them.
func headers(c Credentials, s Settings, faults *faults) http.Header {
	out := http.Header{"Content-Type": {"application/json"}}
	set := func(place, name, value string) {
		key := http.CanonicalHeaderKey(name)
		switch {
		case !isToken(name) || slices.Contains(reserved, key) || strings.HasPrefix(key, "Webhook-"):
			faults.list = append(faults.list, usersync.FieldError{Field: place + "." + name, Message: "is no header that can be set"})
		case !isValue(value):
			faults.list = append(faults.list, usersync.FieldError{Field: place + "." + name, Message: "must be one line"})
		default:
			out[key] = []string{value}
		}
	}
	for name, value := range s.Headers {
		set("settings.headers", name, value)
	}
	for name, value := range c.Headers {
		set("credentials.headers", name, value.Reveal())
	}
	return out
}

func isToken(name string) bool {
	return name != "" && !strings.ContainsFunc(name, func(r rune) bool {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
		return !letter && !strings.ContainsRune(tokens, r)
	})
}

func isValue(value string) bool {
	return !strings.ContainsFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f })
}

// faults gathers what is wrong with a connection.
type faults struct{ list []usersync.FieldError }

func (f *faults) add(field string, err error) {
	if err != nil {
		f.list = append(f.list, usersync.FieldError{Field: field, Message: usersync.AsError(err).Message})
	}
}

func (f *faults) err() error {
	if len(f.list) == 0 {
		return nil
	}
	return &usersync.Error{Code: usersync.CodeInvalid, Message: "The connection is not complete.", Fields: f.list}
}
