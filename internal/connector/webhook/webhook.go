// Package webhook is what the readers of platforms' webhooks have in common.
package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"net/url"
	"strings"
	"time"

	"usersync/internal/connector"
	"usersync/internal/usersync"
)

// tolerance is how old a signed call may be. The platforms that sign a time advise five
// minutes.
const tolerance = 5 * time.Minute

// Unverified is the error of a call that is not proved to be the platform's.
func Unverified(why string) error {
	return usersync.Errorf(usersync.CodeUnauthorized, "The call is not verified: %s", why)
}

// Fresh returns an error unless a signed call was made about now.
func Fresh(c connector.InboundCall, at time.Time) error {
	if age := c.At.Sub(at); age > tolerance || age < -tolerance {
		return Unverified("it was signed more than five minutes ago.")
	}
	return nil
}

// MAC is HMAC-SHA256 of texts that follow each other.
func MAC(key usersync.Secret, texts ...string) []byte {
	mac := hmac.New(sha256.New, []byte(key.Reveal()))
	for _, text := range texts {
		mac.Write([]byte(text))
	}
	return mac.Sum(nil)
}

// SameMAC compares signatures in a time that tells nothing.
func SameMAC(a, b []byte) bool { return hmac.Equal(a, b) }

// ReadConfig reads credentials and settings of a connection that is not opened.
func ReadConfig[C, S any](cfg connector.Config) (credentials C, settings S, err error) {
	for to, raw := range map[any]json.RawMessage{&credentials: cfg.Credentials, &settings: cfg.Settings} {
		if len(raw) == 0 {
			continue
		}
		if err := json.Unmarshal(raw, to); err != nil {
			return credentials, settings, usersync.Errorf(usersync.CodeInternal, "The connection cannot be read.").Because(err)
		}
	}
	return credentials, settings, nil
}

// ErrUnreadable is the error of a call that makes no sense.
var ErrUnreadable = usersync.Errorf(usersync.CodeInvalid, "The body is not what the platform sends.")

// Form reads a body of application/x-www-form-urlencoded.
func Form(c connector.InboundCall) (url.Values, error) {
	form, err := url.ParseQuery(string(c.Body))
	if err != nil {
		return nil, ErrUnreadable
	}
	return form, nil
}

// ReadList reads a body of JSON that is a list of things, or one thing.
func ReadList[T any](body []byte) (list []T, err error) {
	if text := strings.TrimSpace(string(body)); strings.HasPrefix(text, "[") {
		if err := json.Unmarshal(body, &list); err != nil {
			return nil, ErrUnreadable
		}
		return list, nil
	}
	var one T
	if err := json.Unmarshal(body, &one); err != nil {
		return nil, ErrUnreadable
	}
	return []T{one}, nil
}
