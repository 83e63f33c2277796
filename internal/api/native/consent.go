package native

import (
	"slices"
	"time"

	"usersync/internal/api"
	"usersync/internal/consent"
	"usersync/internal/usersync"
)

// maxSource bounds who told of a consent, in characters.
const maxSource = 200

// readConsents reads by channel whether a user wants to be written to.
func readConsents(r *api.Reader) usersync.Consents {
	out := usersync.Consents{}
	for name := range r.Object() {
		channel := usersync.Channel(name)
		if !slices.Contains(consent.Channels, channel) {
			r.Wrong("must name one of the channels email and sms")
			continue
		}
		out[channel] = readConsent(r)
	}
	return out
}

func readConsent(r *api.Reader) (c usersync.Consent) {
	for name := range r.Object() {
		switch name {
		case "status":
			c.Status = usersync.ConsentStatus(r.Text())
			if !slices.Contains(consent.Statuses, c.Status) {
				r.Wrong("must be subscribed, unsubscribed or unknown")
			}
		case "source":
			c.Source = r.ShortText(maxSource)
		case "at":
			c.At = readTime(r)
		}
	}
	if c.Status == "" {
		r.Wrong("must have a status")
	}
	return c
}

// readTime reads when something was said; it is zero where that is not told.
func readTime(r *api.Reader) (out usersync.Time) {
	text := r.Text()
	if text == "" {
		return out
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil || at.Year() < 1990 {
		r.Wrong("must be when the user said it, as in 2026-11-22T10:00:00Z")
	}
	return usersync.Time{Time: at.UTC().Truncate(time.Microsecond)}
}
