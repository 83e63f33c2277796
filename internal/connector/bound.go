package connector

import (
	"context"
	"errors"
	"maps"
	"slices"

	"usersync/internal/foreign"
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

// bounded returns facts that are short. A label that has to go is one that no check
// has found: the connector looks it up.
func (f Facts) bounded() Facts {
	f.Account = foreign.Fit(f.Account, MaxName)
	if f.Labels == nil {
		return f
	}
	labels := make(map[string]string, len(f.Labels))
	for _, name := range slices.Sorted(maps.Keys(f.Labels)) {
		if foreign.Fits(name, MaxName) && len(labels) < MaxLabels {
			labels[name] = foreign.Fit(f.Labels[name], MaxName)
		}
	}
	f.Labels = labels
	return f
}

// bounded returns a result that is short. An id that does not fit is none: half of it
// would name something else.
func (r Result) bounded() Result {
	if !foreign.Fits(r.Job, MaxName) {
		return Rejected(usersync.Errorf(usersync.CodeRejected, "The platform's job has an id that cannot be kept."))
	}
	if !foreign.Fits(r.Remote, MaxName) {
		r.Remote = ""
	}
	r.Details, r.Reason = foreign.Fit(r.Details, MaxSentence), foreign.Fit(r.Reason, MaxName)
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
	long := !foreign.Fits(e.Message, MaxSentence) || len(e.Fields) > MaxLabels ||
		slices.ContainsFunc(e.Fields, func(f usersync.FieldError) bool {
			return !foreign.Fits(f.Field, MaxName) || !foreign.Fits(f.Message, MaxSentence)
		})
	if !long {
		return e
	}
	out := *e
	out.Message = foreign.Fit(e.Message, MaxSentence)
	out.Fields = slices.Clone(e.Fields[:min(len(e.Fields), MaxLabels)])
	for i, f := range out.Fields {
		out.Fields[i] = usersync.FieldError{Field: foreign.Fit(f.Field, MaxName), Message: foreign.Fit(f.Message, MaxSentence)}
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
	return boundedResults(remark(b.Connector, people, results, Did)), shortened(err)
}

func (b bound) Preview(ctx context.Context, p Profile) (Result, error) {
	r, err := b.Connector.Preview(ctx, p)
	return remark(b.Connector, []Profile{p}, []Result{r}, Would)[0].bounded(), shortened(err)
}

func (b bound) Remove(ctx context.Context, p Profile) (Result, error) {
	r, err := b.Connector.Remove(ctx, p)
	return r.bounded(), shortened(err)
}

type boundConfirmer struct{ confirmer Confirmer }

func (b boundConfirmer) Confirm(ctx context.Context, job string, people []Profile) ([]Result, error) {
	results, err := b.confirmer.Confirm(ctx, job, people)
	return boundedResults(remark(b.confirmer, people, results, Did)), shortened(err)
}

type boundMaker struct{ maker AudienceMaker }

func (b boundMaker) MakeAudience(ctx context.Context, name, description string) (string, usersync.PlatformSync, error) {
	id, patch, err := b.maker.MakeAudience(ctx, name, description)
	if err != nil {
		return "", usersync.PlatformSync{}, shortened(err)
	}
	if !foreign.Fits(id, MaxName) || !foreign.Fits(patch.List, MaxName) {
		return "", usersync.PlatformSync{}, usersync.Errorf(usersync.CodeUnavailable, "The platform's list has an id that cannot be kept.")
	}
	return id, patch, nil
}

func (b boundMaker) CheckAudience(ctx context.Context, name string) error {
	return shortened(b.maker.CheckAudience(ctx, name))
}

// Inner returns the connector within the bounds: it can do more than Connector says.
func Inner(c Connector) Connector {
	if b, bounded := c.(interface{ inner() Connector }); bounded {
		return b.inner()
	}
	return c
}

func (b bound) inner() Connector { return b.Connector }

// Bounded returns what a connector answered within the bounds.
func Bounded(results []Result, err error) ([]Result, error) {
	return boundedResults(results), shortened(err)
}
