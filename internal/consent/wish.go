package consent

import (
	"cmp"
	"strconv"

	"usersync/internal/connector"
	"usersync/internal/connector/ability"
	"usersync/internal/usersync"
)

// Wishes says what the platform of one connection is to be told of people's wishes.
type Wishes struct {
	off        ability.Unsubscriber
	on         ability.Subscriber
	connection string
	canOff     bool
	canOn      bool
}

// WishesOf returns the wishes that a connector can tell its platform.
func WishesOf(c connector.Connector, connection string) Wishes {
	w := Wishes{connection: connection}
	w.off, w.canOff = ability.UnsubscriberOf(c)
	w.on, w.canOn = ability.SubscriberOf(c)
	return w
}

// Any reports whether the platform can be told anything.
func (w Wishes) Any() bool { return w.canOff || w.canOn }

// Off and On are the calls that tell. Ask first whether somebody leaves or has agreed.
func (w Wishes) Off() ability.Unsubscriber { return w.off }

// On tells of who has agreed.
func (w Wishes) On() ability.Subscriber { return w.on }

func (w Wishes) status(p connector.Profile) usersync.ConsentStatus {
	return Told(p.Consents[usersync.ChannelEmail], w.connection)
}

// Leaves reports whether the platform is to be told that a person does not want e-mail.
func (w Wishes) Leaves(p connector.Profile) bool {
	return w.canOff && w.status(p) == usersync.Unsubscribed
}

// Agrees reports whether the platform is to be told that a person has agreed.
func (w Wishes) Agrees(p connector.Profile) bool {
	return w.canOn && w.status(p) == usersync.Subscribed
}

// Of is what the platform is to be told of a person, for the fingerprint of what it has
// been told; "" for nothing. Who agrees once more is told of once more.
func (w Wishes) Of(p connector.Profile) string {
	switch {
	case w.Leaves(p):
		return string(usersync.Unsubscribed)
	case w.Agrees(p):
		return string(usersync.Subscribed) + " " + strconv.FormatInt(p.Consents[usersync.ChannelEmail].At.UnixMicro(), 10)
	}
	return ""
}

// Foretold adds to the result of a preview what a push would tell.
func (w Wishes) Foretold(r connector.Result, p connector.Profile) connector.Result {
	if w.Of(p) != "" && r.Status != connector.Failed {
		r.Details += "; the platform would be told that they are " + string(w.status(p))
	}
	return r
}

// Present reports whether the platform has a person after a push, or says that they
// left, which a newer consent may change.
func Present(r connector.Result) bool {
	switch r.Status {
	case connector.Added, connector.Updated, connector.Synced:
		return true
	case connector.Skipped:
		return r.Reason == usersync.ReasonUnsubscribed
	}
	return false
}

// Agreed joins the result of a push with that of the consent that followed it. Who was
// refused has failed, though they are there.
func Agreed(r, told connector.Result) connector.Result {
	told.Remote = cmp.Or(told.Remote, r.Remote)
	if told.Status == connector.Failed {
		return told
	}
	if told.Status == connector.Updated && r.Status == connector.Skipped {
		r.Status, r.Reason = connector.Updated, ""
	}
	if told.Details != "" {
		r.Details += "; " + told.Details
	}
	r.Remote = told.Remote
	return r
}
