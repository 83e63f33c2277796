package ability

import (
	"context"

	"usersync/internal/connector"
)

// Leaver is a connector whose platform can take people off a list, or tags from them.
type Leaver interface {
	// Belonging is what the connection gives people: its list, "" where there is none that
	// people can be taken off, and its tags.
	Belonging() connector.Target
	// Leave takes people off what from names, and changes nothing else of them. It returns
	// one result for each, in their order: Removed, or Skipped with ReasonNoContact for
	// people who are not there. A result may have no Details.
	Leave(ctx context.Context, people []connector.Profile, from Departure) ([]connector.Result, error)
}

// Departure is what people leave.
type Departure struct {
	// List says that they leave the list of Belonging.
	List bool
	// Tags are taken away, by name.
	Tags []string
}

// from is the target that people leave, for sentences.
func (d Departure) from(l Leaver) connector.Target {
	out := connector.Target{Tags: d.Tags, Noun: l.Belonging().Noun}
	if d.List {
		out.Place = l.Belonging().Place
	}
	return out
}

// Left is the result of a person who was taken off what they were to leave.
func Left(remote string) connector.Result {
	return connector.Result{Status: connector.Removed, Remote: remote}
}

// NotOn is the result of a person who had nothing to leave.
func NotOn(remote string) connector.Result {
	return connector.Result{Status: connector.Skipped, Reason: ReasonNoContact, Remote: remote}
}

// LeaverOf returns c as a Leaver, within the bounds. All its results have Details.
func LeaverOf(c connector.Connector) (Leaver, bool) {
	l, ok := of[Leaver](c)
	return boundLeaver{l}, ok
}

type boundLeaver struct{ Leaver }

func (b boundLeaver) Leave(ctx context.Context, people []connector.Profile, from Departure) ([]connector.Result, error) {
	results, err := b.Leaver.Leave(ctx, people, from)
	results, err = connector.Bounded(results, err)
	for i, r := range results {
		switch {
		case r.Details != "":
		case r.Status == connector.Removed:
			results[i].Details = connector.Did.Leave(from.from(b))
		case r.Status == connector.Skipped:
			results[i].Details = nobody(from.from(b))
		}
	}
	return results, err
}

// nobody says of somebody that there was nothing to leave.
func nobody(from connector.Target) string {
	if from.Place == "" {
		return "The platform does not have the user"
	}
	return "User is not in " + from.Place
}

// ForetellLeave says what Leave would do with a person, by what a preview of a push tells.
func ForetellLeave(ctx context.Context, c connector.Connector, p connector.Profile, from Departure) (connector.Result, error) {
	l, _ := LeaverOf(c)
	r, err := c.Preview(ctx, p)
	switch {
	case err != nil || r.Status == connector.Failed:
		return r, err
	case r.Status == connector.Added:
		r = NotOn(r.Remote)
		r.Details = nobody(from.from(l))
		return r, nil
	}
	return connector.Result{Status: connector.Removed, Details: connector.Would.Leave(from.from(l)), Remote: r.Remote}, nil
}
