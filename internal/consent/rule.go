package consent

import "usersync/internal/usersync"

// Channels lists the channels.
var Channels = []usersync.Channel{usersync.ChannelEmail, usersync.ChannelSMS}

// Statuses lists what a consent may be.
var Statuses = []usersync.ConsentStatus{usersync.Subscribed, usersync.Unsubscribed, usersync.Unknown}

// replaces reports whether a statement counts more than the one that is known. A
// platform that repeats a subscription changes nothing, or two platforms that follow
// each other would never come to rest.
func replaces(c, known usersync.Consent) bool {
	if !c.At.After(known.At.Time) {
		return false
	}
	return c.Status != known.Status || c.ConnectionID == "" || c.Status == usersync.Unsubscribed
}

// after returns what is known after a statement that replaces it. A platform that
// repeats what is known only confirms it, at a later time.
func after(c, known usersync.Consent) usersync.Consent {
	if c.Status != known.Status || c.ConnectionID == "" {
		return c
	}
	known.At = c.At
	return known
}

// Told returns the status that the platform of a connection is to be told; Unknown is
// not told. A platform is not told what it has told itself.
func Told(c usersync.Consent, connection string) usersync.ConsentStatus {
	if c.ConnectionID == "" || c.Everywhere && c.ConnectionID != connection {
		return c.Status
	}
	return usersync.Unknown
}
