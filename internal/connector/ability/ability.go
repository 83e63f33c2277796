// Package ability is what only some platforms can do beyond what every connector does.
// Each ability is a small interface, found by the function of its name with Of, which
// keeps a connector within its bounds.
package ability

import (
	"context"

	"usersync/internal/connector"
	"usersync/internal/usersync"
)

// Unsubscriber is a connector whose platform can be told that people do not want e-mail
// any more.
type Unsubscriber interface {
	// Unsubscribe has the platform send no marketing e-mail to people. It makes nobody a
	// contact who is none, unless the platform needs that to know it. It returns one
	// result for each, in their order: Skipped for people who have left already, or of
	// whom the platform need not know.
	Unsubscribe(ctx context.Context, people []connector.Profile) ([]connector.Result, error)
}

// Subscriber is a connector whose platform can be told that people agreed to e-mail.
type Subscriber interface {
	// Subscribe tells the platform that people agreed, each at the time of their consent.
	// It comes after a Push. People who left at the platform after that time, or of whom
	// the platform does not say when they left, are Skipped and stay as they are. A
	// platform that asks them to confirm does so.
	Subscribe(ctx context.Context, people []connector.Profile) ([]connector.Result, error)
}

// Resolver is a connector whose platform tells of people by its own ids.
type Resolver interface {
	// Resolve returns the addresses of people by their ids. Ids that the platform does not
	// know are missing.
	Resolve(ctx context.Context, remotes []string) (map[string]string, error)
}

// Mover is a connector whose platform lets a contact have another address.
type Mover interface {
	// Move gives the contact that has the address from the one that p has now. It returns
	// Updated where that was done. It returns Skipped with ReasonNoContact where the
	// platform has no contact of the old address, and with ReasonTaken where another
	// contact has the new one. Then a Push brings the person by the new address.
	Move(ctx context.Context, p connector.Profile, from usersync.Email) (connector.Result, error)
}

// Reasons of Move for leaving a contact as it is.
const (
	ReasonNoContact = "no_contact"
	ReasonTaken     = "address_taken"
)

// Moved is the result of a contact that has the new address now.
func Moved(remote string) connector.Result {
	return connector.Result{Status: connector.Updated, Details: "the contact was moved to the new address", Remote: remote}
}

// NoContact is the result where nobody has the former address.
func NoContact() connector.Result {
	return connector.Result{Status: connector.Skipped, Reason: ReasonNoContact, Details: "nobody had the former address there"}
}

// Taken is the result where another contact has the new address.
func Taken() connector.Result {
	return connector.Result{Status: connector.Skipped, Reason: ReasonTaken, Details: "another contact has the new address, so that of the former one stays"}
}

// of returns a connector as what it can do besides.
func of[T any](c connector.Connector) (able T, ok bool) {
	able, ok = connector.Inner(c).(T)
	return able, ok
}

// UnsubscriberOf returns c as an Unsubscriber, within the bounds.
func UnsubscriberOf(c connector.Connector) (Unsubscriber, bool) {
	u, ok := of[Unsubscriber](c)
	return boundUnsubscriber{u}, ok
}

// SubscriberOf returns c as a Subscriber, within the bounds.
func SubscriberOf(c connector.Connector) (Subscriber, bool) {
	s, ok := of[Subscriber](c)
	return boundSubscriber{s}, ok
}

// ResolverOf returns c as a Resolver.
func ResolverOf(c connector.Connector) (Resolver, bool) { return of[Resolver](c) }

// MoverOf returns c as a Mover, within the bounds.
func MoverOf(c connector.Connector) (Mover, bool) {
	m, ok := of[Mover](c)
	return boundMover{m}, ok
}

type boundUnsubscriber struct{ Unsubscriber }

func (b boundUnsubscriber) Unsubscribe(ctx context.Context, people []connector.Profile) ([]connector.Result, error) {
	results, err := b.Unsubscriber.Unsubscribe(ctx, people)
	return connector.Bounded(results, err)
}

type boundSubscriber struct{ Subscriber }

func (b boundSubscriber) Subscribe(ctx context.Context, people []connector.Profile) ([]connector.Result, error) {
	results, err := b.Subscriber.Subscribe(ctx, people)
	return connector.Bounded(results, err)
}

type boundMover struct{ Mover }

func (b boundMover) Move(ctx context.Context, p connector.Profile, from usersync.Email) (connector.Result, error) {
	r, err := b.Mover.Move(ctx, p, from)
	results, err := connector.Bounded([]connector.Result{r}, err)
	return results[0], err
}
