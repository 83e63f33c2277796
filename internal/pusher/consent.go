package pusher

import (
	"cmp"
	"context"

	"usersync/internal/connector"
	"usersync/internal/consent"
	"usersync/internal/usersync"
)

// This file tells platforms what people want. Who does not want e-mail is told of before
// anything else of them is pushed, so that nobody gets a greeting meanwhile. Who agreed
// is told of once the platform has them.

// withConsents loads what is known of the wishes of items, for a platform that can be told.
func (p *turn) withConsents(ctx context.Context, c connector.Connector, items []*item) error {
	if !consent.WishesOf(c, p.id).Any() || len(items) == 0 {
		return nil
	}
	ids := make([]string, len(items))
	for i, it := range items {
		ids[i] = it.profile.UserID
	}
	consents, err := consent.Of(ctx, p.org, compact(ids)...)
	for _, it := range items {
		it.profile.Consents = consents[it.profile.UserID]
	}
	return err
}

// bring moves those whose address has changed, tells of those who left, pushes, and tells
// of those who agreed.
func (p *turn) bring(ctx context.Context, c connector.Connector, items []*item) {
	moved := p.move(ctx, c, items)
	pushed := p.unsubscribe(ctx, c, those(items, func(it *item) bool { return it.err == nil }))
	if len(pushed) > 0 {
		p.call(ctx, c, pushed)
	}
	p.subscribe(ctx, c, pushed)
	for it, said := range moved {
		if it.err == nil && it.result.Details != "" {
			it.result.Details += "; " + said
		}
	}
}

// unsubscribe tells of those who do not want e-mail, and returns who is to be pushed: all
// but those whom the platform need not know, and those it could not be told of.
func (p *turn) unsubscribe(ctx context.Context, c connector.Connector, items []*item) (pushed []*item) {
	wishes := consent.WishesOf(c, p.id)
	leaving := those(items, func(it *item) bool { return wishes.Leaves(it.profile) })
	if len(leaving) == 0 {
		return items
	}
	p.tell(ctx, leaving, wishes.Off().Unsubscribe)
	pushed = those(items, func(it *item) bool {
		return it.err == nil && (it.result.Status == "" || it.result.Status == connector.Updated)
	})
	for _, it := range pushed {
		it.result = connector.Result{}
	}
	return pushed
}

// subscribe tells of those who agreed, of those whom the platform has.
func (p *turn) subscribe(ctx context.Context, c connector.Connector, items []*item) {
	wishes := consent.WishesOf(c, p.id)
	there := those(items, func(it *item) bool { return wishes.Agrees(it.profile) && it.err == nil && consent.Present(it.result) })
	if len(there) == 0 {
		return
	}
	before := make([]connector.Result, len(there))
	for i, it := range there {
		before[i], it.profile.Remote = it.result, cmp.Or(it.result.Remote, it.profile.Remote)
	}
	p.tell(ctx, there, wishes.On().Subscribe)
	for i, it := range there {
		it.result = consent.Agreed(before[i], it.result)
	}
}

func those(items []*item, want func(*item) bool) (out []*item) {
	for _, it := range items {
		if want(it) {
			out = append(out, it)
		}
	}
	return out
}

// tell makes a call about the wishes of items and notes the results in them.
func (p *turn) tell(ctx context.Context, items []*item, call func(context.Context, []connector.Profile) ([]connector.Result, error)) {
	limited, cancel := context.WithTimeout(ctx, callWithin/2)
	defer cancel()
	profiles := make([]connector.Profile, len(items))
	for i, it := range items {
		profiles[i], it.called, it.result = it.profile, true, connector.Result{}
	}
	watched, noted := watch(limited, items...)
	results, err := guarded(p, func() ([]connector.Result, error) { return call(watched, profiles) })
	noted()
	p.note(ctx, items, results, usersync.AsError(err))
}
