package pusher

import (
	"context"
	"reflect"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"usersync/internal/connector"
	"usersync/internal/connector/ability"
	"usersync/internal/platform"
	"usersync/internal/store"
	"usersync/internal/usersync"
)

// This file takes users off lists, and tags from them. Who was taken off the connection's
// own list stays off it until a call about them alone pushes them again: whatever else is
// told of them would bring them back.

// awaySentence says why a user is not pushed.
const awaySentence = "User was taken off the list and is not pushed; sync them alone to bring them back"

// stayAway skips who was taken off the connection's list, unless somebody asked for this
// push, and returns the others.
func (p *turn) stayAway(items []*item, rank func(*item) int) []*item {
	return those(items, func(it *item) bool {
		stays := it.push.Away && rank(it) != platform.RankOnDemand
		if stays {
			it.result = connector.Result{Status: connector.Skipped, Reason: platform.ReasonAway, Details: awaySentence}
		}
		return !stays
	})
}

// departure is what users of a group leave. why says that there is nothing to leave.
func (p *turn) departure(c connector.Connector, patch usersync.PlatformSync) (from ability.Departure, why string) {
	leaver, ok := ability.LeaverOf(c)
	if !ok {
		return from, p.platform.Title + " has no list or tags that a user could be taken off"
	}
	from = ability.Departure{List: patch.List != "" || len(patch.Tags) == 0, Tags: patch.Tags}
	if from.List && leaver.Belonging().Place == "" {
		return from, "The connection has no list that a user could be taken off"
	}
	return from, ""
}

// nothingToLeave skips a group that has nothing to leave at the platform: that is a
// remark and nobody's fault.
func (g *group) nothingToLeave(why string) {
	for _, it := range g.items {
		it.result = connector.Result{Status: connector.Skipped, Reason: platform.ReasonNothingToLeave, Details: why}
	}
}

// leave takes the users of a group off what the group names.
func (p *turn) leave(ctx context.Context, c connector.Connector, g *group) {
	from, why := p.departure(c, g.patch)
	if why != "" {
		g.nothingToLeave(why)
		return
	}
	leaver, _ := ability.LeaverOf(c)
	p.tell(ctx, g.items, func(ctx context.Context, people []connector.Profile) ([]connector.Result, error) {
		return leaver.Leave(ctx, people, from)
	})
	own, again := from.List && p.isOwnList(g.patch.List), p.givesAgain(from)
	for _, it := range g.items {
		switch {
		case it.err != nil:
		case it.result.Status == connector.Skipped && it.result.Reason == ability.ReasonNoContact:
			it.result.Status = unchanged
		case it.result.Status == connector.Removed:
			it.result.Details += again
		}
		it.away = own && it.err == nil && (it.result.Status == connector.Removed || it.result.Status == unchanged)
	}
}

// isOwnList reports whether a list is that of the connection's settings.
func (p *turn) isOwnList(list string) bool {
	if list == "" {
		return true
	}
	patched, err := p.platform.Patch(p.connection.Settings, usersync.PlatformSync{List: list})
	var own, other any
	return err == nil && store.Decode(string(p.connection.Settings), &own) == nil && store.Decode(string(patched), &other) == nil &&
		reflect.DeepEqual(own, other)
}

// givesAgain says which of the tags that were taken away the connection gives to everybody.
func (p *turn) givesAgain(from ability.Departure) string {
	own, err := p.open(usersync.PlatformSync{})
	if err != nil {
		return ""
	}
	leaver, ok := ability.LeaverOf(own)
	if !ok {
		return ""
	}
	var given []string
	for _, tag := range from.Tags {
		if slices.ContainsFunc(leaver.Belonging().Tags, func(own string) bool { return strings.EqualFold(own, tag) }) {
			given = append(given, "'"+tag+"'")
		}
	}
	if len(given) == 0 {
		return ""
	}
	return "; the connection gives " + strings.Join(given, ", ") + " to everybody, so the next push does again"
}

// foretellLeave says what leave would do.
func (p *turn) foretellLeave(ctx context.Context, c connector.Connector, g *group) {
	from, why := p.departure(c, g.patch)
	if why != "" {
		g.nothingToLeave(why)
		return
	}
	var previews errgroup.Group
	previews.SetLimit(previewsAtOnce)
	for _, it := range g.items {
		previews.Go(func() error {
			watched, noted := watch(ctx, it)
			result, err := guarded(p, func() (connector.Result, error) { return ability.ForetellLeave(watched, c, it.profile, from) })
			noted()
			if it.result, it.err = result, usersync.AsError(err); it.err != nil && it.err.Code == usersync.CodeRejected {
				it.result, it.err = connector.Result{Status: connector.Failed, Err: it.err}, nil
			}
			if it.result.Status == connector.Skipped && it.result.Reason == ability.ReasonNoContact {
				it.result.Status = unchanged
			}
			return nil
		})
	}
	_ = previews.Wait() // Each call's error is with its item.
}

// noteAway writes who is off the connection's list now, and who was brought back.
func (b *outcomes) noteAway(ctx context.Context, items []*item, back func(*item) bool) error {
	var away, returned []string
	for _, it := range items {
		switch {
		case it.away:
			away = append(away, it.profile.UserID)
		case it.push.Away && back(it):
			returned = append(returned, it.profile.UserID)
		}
	}
	if err := platform.SetAway(ctx, b.tx, b.id, away, true); err != nil {
		return err
	}
	return platform.SetAway(ctx, b.tx, b.id, returned, false)
}
