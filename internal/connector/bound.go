package connector

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"usersync/internal/usersync"
)

// This file bounds what a connector passes on of its platform's answers. A platform
// may be a server that a tenant chose, which says whatever it likes: an account id of
// 4 MB, say. Platform.Open puts these bounds around every connector, so all that is
// stored, shown or logged of a platform is short, whichever connector it comes from.

// The bounds, in bytes. What platforms name in earnest is far shorter.
const (
	// MaxName bounds ids and names: the account, labels, what a Result keeps as Remote,
	// and jobs.
	MaxName = 500
	// MaxSentence bounds details and messages. They may name many tags.
	MaxSentence = 4000
	// MaxLabels is how many labels the facts of a check have. A setting has one each.
	MaxLabels = 1000
)

// fit returns at most the first most bytes of a text, as text that any column takes:
// without half a character at its end, and without control characters.
func fit(text string, most int) string {
	if isFit(text, most) {
		return text
	}
	return strings.Map(printable, strings.ToValidUTF8(text[:min(len(text), most)], ""))
}

func isFit(text string, most int) bool {
	return len(text) <= most && utf8.ValidString(text) && !strings.ContainsFunc(text, unicode.IsControl)
}

// bounded returns facts that are short. A label that has to go is one that no check
// has found: the connector looks it up.
func (f Facts) bounded() Facts {
	f.Account = fit(f.Account, MaxName)
	if f.Labels == nil {
		return f
	}
	labels := make(map[string]string, len(f.Labels))
	for _, name := range slices.Sorted(maps.Keys(f.Labels)) {
		if isFit(name, MaxName) && len(labels) < MaxLabels {
			labels[name] = fit(f.Labels[name], MaxName)
		}
	}
	f.Labels = labels
	return f
}

// bounded returns a result that is short. An id that does not fit is none: half of it
// would name something else.
func (r Result) bounded() Result {
	if !isFit(r.Job, MaxName) {
		return Rejected(usersync.Errorf(usersync.CodeRejected, "The platform's job has an id that cannot be kept."))
	}
	if !isFit(r.Remote, MaxName) {
		r.Remote = ""
	}
	r.Details, r.Reason = fit(r.Details, MaxSentence), fit(r.Reason, MaxName)
	if r.Err != nil {
		r.Err = boundedError(r.Err)
	}
	return r
}

func boundedResults(all []Result) []Result {
	for i, r := range all {
		all[i] = r.bounded()
	}
	return all
}

// boundedError returns e if it is short, else a copy that is. So an error that others
// compare with stays the one it is.
func boundedError(e *usersync.Error) *usersync.Error {
	long := !isFit(e.Message, MaxSentence) || len(e.Fields) > MaxLabels ||
		slices.ContainsFunc(e.Fields, func(f usersync.FieldError) bool { return !isFit(f.Field, MaxName) || !isFit(f.Message, MaxSentence) })
	if !long {
		return e
	}
	out := *e
	out.Message = fit(e.Message, MaxSentence)
	out.Fields = slices.Clone(e.Fields[:min(len(e.Fields), MaxLabels)])
	for i, f := range out.Fields {
		out.Fields[i] = usersync.FieldError{Field: fit(f.Field, MaxName), Message: fit(f.Message, MaxSentence)}
	}
	return &out
}

// shortened returns err if its message is short, else one that has a short message.
func shortened(err error) error {
	e := usersync.AsError(err)
	if e == nil || errors.Is(err, context.Canceled) {
		return err
	}
	if short := boundedError(e); short != e {
		return short
	}
	return err
}

// bound is a connector within the bounds.
type bound struct{ Connector }

// withBounds puts the bounds around a connector. What the connector can do beyond the
// interface, it still can.
func withBounds(c Connector) Connector {
	confirmer, confirms := c.(Confirmer)
	maker, makes := c.(AudienceMaker)
	switch {
	case confirms && makes:
		return struct {
			bound
			boundConfirmer
			boundMaker
		}{bound{c}, boundConfirmer{confirmer}, boundMaker{maker}}
	case confirms:
		return struct {
			bound
			boundConfirmer
		}{bound{c}, boundConfirmer{confirmer}}
	case makes:
		return struct {
			bound
			boundMaker
		}{bound{c}, boundMaker{maker}}
	}
	return bound{c}
}

func (b bound) Check(ctx context.Context) (Facts, error) {
	facts, err := b.Connector.Check(ctx)
	return facts.bounded(), shortened(err)
}

func (b bound) Push(ctx context.Context, people []Profile) ([]Result, error) {
	results, err := b.Connector.Push(ctx, people)
	return boundedResults(results), shortened(err)
}

func (b bound) Preview(ctx context.Context, p Profile) (Result, error) {
	r, err := b.Connector.Preview(ctx, p)
	return r.bounded(), shortened(err)
}

func (b bound) Remove(ctx context.Context, p Profile) (Result, error) {
	r, err := b.Connector.Remove(ctx, p)
	return r.bounded(), shortened(err)
}

type boundConfirmer struct{ confirmer Confirmer }

func (b boundConfirmer) Confirm(ctx context.Context, job string, people []Profile) ([]Result, error) {
	results, err := b.confirmer.Confirm(ctx, job, people)
	return boundedResults(results), shortened(err)
}

type boundMaker struct{ maker AudienceMaker }

func (b boundMaker) MakeAudience(ctx context.Context, name, description string) (string, usersync.PlatformSync, error) {
	id, patch, err := b.maker.MakeAudience(ctx, name, description)
	if err != nil {
		return "", usersync.PlatformSync{}, shortened(err)
	}
	if !isFit(id, MaxName) || !isFit(patch.List, MaxName) {
		return "", usersync.PlatformSync{}, usersync.Errorf(usersync.CodeUnavailable, "The platform's list has an id that cannot be kept.")
	}
	return id, patch, nil
}
