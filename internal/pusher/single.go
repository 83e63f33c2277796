package pusher

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"golang.org/x/sync/errgroup"

	"usersync/internal/connector"
	"usersync/internal/consent"
	"usersync/internal/platform"
	"usersync/internal/request"
	"usersync/internal/user"
	"usersync/internal/usersync"
)

// previewsAtOnce bounds the previews of one round that are under way.
const previewsAtOnce = 8

// singles makes the pushes of one rank that do not coalesce: previews, and
// pushes with what a request overrides.
func (p *turn) singles(ctx context.Context, rank int) (worked bool, err error) {
	due, err := platform.DueWaits(ctx, p.org, p.id, rank, max(p.platform.Batch, previewsAtOnce))
	if err != nil || len(due) == 0 {
		return false, err
	}
	p.clock = clockAt(due[0].ReadAt)
	groups, gone, err := p.group(ctx, due)
	if err != nil {
		return true, fmt.Errorf("group the pushes: %w", err)
	}
	if err := p.recordSingles(ctx, nil, gone); err != nil {
		return true, err
	}
	for _, g := range groups { //lint:loop each group is a call to the platform, recorded before the next
		c, err := p.open(g.patch)
		if err != nil && g.patch.Remove {
			g.nothingToLeave(usersync.AsError(err).Message)
		} else if err != nil {
			g.fail(usersync.AsError(err))
		} else if err := p.makeOnce(ctx, c, g); err != nil {
			return true, err
		}
		p.excuse(ctx, g)
		if err := p.recordSingles(ctx, g.items, nil); err != nil {
			return true, err
		}
	}
	return true, nil
}

// group is what can be pushed together: the same mode, the same settings.
type group struct {
	mode  usersync.PushMode
	job   string
	patch usersync.PlatformSync
	items []*item
}

// fail ends a group whose settings the platform does not know: that is the
// request's fault and not the connection's.
func (g *group) fail(why *usersync.Error) {
	for _, it := range g.items {
		it.result = connector.Result{Status: connector.Failed, Err: why}
	}
}

// overrides reports whether requests of the group name a list or tags of their own.
func (g *group) overrides() bool { return g.patch.List != "" || len(g.patch.Tags) > 0 }

// excuse finds out whose fault it is when the platform refuses a push with a list or tags
// of the caller's own as if the connection were wrong. If a check of the connection, which
// names its own, goes well, it is the caller's, whose users have failed. If the platform
// cannot be asked now, the push is made again.
func (p *turn) excuse(ctx context.Context, g *group) {
	refused := func(it *item) bool { return disconnects(it.err) }
	if !g.overrides() || !slices.ContainsFunc(g.items, refused) {
		return
	}
	c, err := p.open(usersync.PlatformSync{})
	if err == nil {
		_, err = guarded(p, func() (connector.Facts, error) { return c.Check(ctx) })
	}
	found := usersync.AsError(err)
	if disconnects(found) {
		return
	}
	for _, it := range g.items {
		switch {
		case !refused(it):
		case found == nil:
			why := usersync.Errorf(usersync.CodeRejected, "%s", it.err.Message).Because(it.err)
			it.result, it.err = connector.Result{Status: connector.Failed, Err: why, Details: "Refused for the list or the tags of the request"}, nil
		default:
			it.err = found
		}
	}
}

// group reads the users, applies what requests override and sorts them.
func (p *turn) group(ctx context.Context, due []platform.Wait) (groups []*group, gone []platform.Wait, err error) {
	var users, requests []string
	for _, w := range due {
		users, requests = append(users, w.UserID), append(requests, w.RequestID)
	}
	found, err := user.ByID(ctx, p.org, compact(users))
	if err != nil {
		return nil, nil, fmt.Errorf("read the users: %w", err)
	}
	inputs, err := request.PlatformInputs(ctx, p.org, compact(requests))
	if err != nil {
		return nil, nil, fmt.Errorf("read what the requests ask of the push: %w", err)
	}
	remotes, err := platform.Remotes(ctx, p.org, p.id, compact(users))
	if err != nil {
		return nil, nil, fmt.Errorf("read what platforms call the users: %w", err)
	}
	byKey := map[string]*group{}
	for _, w := range due {
		u, ok := found[w.UserID]
		if !ok {
			gone = append(gone, w)
			continue
		}
		in := inputs[w.RequestID]
		user := u.Input()
		if in.FirstName != "" {
			user.FirstName = in.FirstName
		}
		known := remotes[w.UserID]
		it := &item{wait: w, push: known, profile: connector.ProfileOf(u.ID, user, known.Remote), version: u.Version}
		// One user may wait twice with the same overrides; a push takes one.
		key := string(w.Mode) + w.Job + encodePatch(in) + strconv.FormatBool(in.Remove)
		for byKey[key] != nil && byKey[key].has(w.UserID) {
			key += "+"
		}
		if byKey[key] == nil {
			byKey[key] = &group{mode: w.Mode, job: w.Job, patch: in}
			groups = append(groups, byKey[key])
		}
		byKey[key].items = append(byKey[key].items, it)
	}
	return groups, gone, nil
}

func (g *group) has(user string) bool {
	return slices.ContainsFunc(g.items, func(it *item) bool { return it.wait.UserID == user })
}

func compact(ids []string) []string {
	slices.Sort(ids)
	return slices.Compact(ids)
}

// makeOnce makes the calls of a group.
func (p *turn) makeOnce(ctx context.Context, c connector.Connector, g *group) error {
	if err := p.withConsents(ctx, c, g.items); err != nil {
		return err
	}
	p.brings(g)
	switch {
	case g.patch.Remove && g.mode == usersync.PushPreview:
		p.foretellLeave(ctx, c, g)
		return ctx.Err()
	case g.patch.Remove:
		p.leave(ctx, c, g)
		return nil
	case g.mode == usersync.PushPreview:
		return p.preview(ctx, c, g)
	case g.job != "":
		confirmer, ok := c.(connector.Confirmer)
		if !ok {
			g.fail(usersync.Errorf(usersync.CodeInternal, "The platform's answer cannot be asked for."))
			return nil
		}
		p.ask(ctx, confirmer, g.job, g.items)
		p.subscribe(ctx, c, g.items)
		return nil
	}
	p.bring(ctx, c, p.staying(g))
	return nil
}

// brings notes of a group whether its push brings people to the connection's own list.
func (p *turn) brings(g *group) {
	own := g.mode == usersync.PushOnce && !g.patch.Remove && p.isOwnList(g.patch.List)
	for _, it := range g.items {
		it.back = own
	}
}

// staying are the users of a group that a push may bring to where it leads.
func (p *turn) staying(g *group) []*item {
	if !p.isOwnList(g.patch.List) {
		return g.items
	}
	return p.stayAway(g.items, func(it *item) int { return it.wait.Rank })
}

func (p *turn) preview(ctx context.Context, c connector.Connector, g *group) error {
	var group errgroup.Group
	group.SetLimit(previewsAtOnce)
	plain := encodePatch(g.patch) == encodePatch(usersync.PlatformSync{}) && !g.patch.Force
	for _, it := range p.staying(g) {
		if plain && it.push.PushedHash != "" && p.hash(c, it.profile) == it.push.PushedHash {
			it.result = connector.Result{Status: unchanged, Details: unchangedSentence}
			continue
		}
		group.Go(func() error {
			watched, noted := watch(ctx, it)
			result, err := guarded(p, func() (connector.Result, error) { return c.Preview(watched, it.profile) })
			noted()
			if it.result, it.err = result, usersync.AsError(err); it.err != nil && it.err.Code == usersync.CodeRejected {
				it.result, it.err = connector.Result{Status: connector.Failed, Err: it.err}, nil
			}
			it.result = consent.WishesOf(c, p.id).Foretold(it.result, it.profile)
			return nil
		})
	}
	_ = group.Wait() // Each call's error is with its item.
	return ctx.Err()
}
