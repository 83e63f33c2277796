package pusher

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"

	"usersync/internal/connector"
	"usersync/internal/consent"
	"usersync/internal/outbound"
	"usersync/internal/outbox"
	"usersync/internal/platform"
	"usersync/internal/store"
	"usersync/internal/user"
	"usersync/internal/usersync"
)

// item is one user on the way to the platform.
type item struct {
	push    platform.PushRow
	wait    platform.Wait // of a push that does not coalesce
	profile connector.Profile
	version int64
	hash    string
	result  connector.Result
	// err is why the call as a whole says nothing of this user.
	err    *usersync.Error
	called bool
	// moved is the former address that the platform was told of.
	moved string
	// away says that the user was taken off the connection's list.
	away bool
	// call is the last call to the platform about the user, and beside how many others it
	// was about. by has made the push that it was part of.
	call   outbound.Made
	beside int
	by     connector.Connector
	// back says that the push brings the user to the connection's list.
	back bool
}

// states pushes the newest states of the users that are due, asks for those that the
// platform works on, removes those who were erased, and takes off who is not to be there.
func (p *turn) states(ctx context.Context) (worked bool, err error) {
	due, err := platform.DuePushes(ctx, p.org, p.id, max(p.platform.Batch, 1))
	if err != nil || len(due) == 0 {
		return false, err
	}
	p.clock = clockAt(due[0].ReadAt)
	c, err := p.open(usersync.PlatformSync{})
	if err != nil {
		return true, p.disconnect(ctx, usersync.AsError(err))
	}
	s := sortDue(due)
	if err := p.remove(ctx, c, s.removals); err != nil {
		return true, err
	}
	if err := p.confirm(ctx, c, s.jobs); err != nil {
		return true, err
	}
	if err := p.takeOff(ctx, s.departures); err != nil {
		return true, err
	}
	return true, p.pushStates(ctx, c, s.pushes)
}

// sorted is what is due, by what is to be done about it.
type sorted struct {
	removals, departures, pushes []platform.PushRow
	jobs                         map[string][]platform.PushRow
}

func sortDue(due []platform.PushRow) sorted {
	s := sorted{jobs: map[string][]platform.PushRow{}}
	for _, d := range due {
		switch {
		case !d.Removal.IsZero():
			s.removals = append(s.removals, d)
		case d.Status == platform.PushConfirming:
			s.jobs[d.Job] = append(s.jobs[d.Job], d)
		case d.Absent:
			s.departures = append(s.departures, d)
		default:
			s.pushes = append(s.pushes, d)
		}
	}
	return s
}

// pushStates makes one push of all that has changed and writes what became of it.
func (p *turn) pushStates(ctx context.Context, c connector.Connector, due []platform.PushRow) error {
	if len(due) == 0 {
		return nil
	}
	items, gone, err := p.load(ctx, due)
	if err != nil {
		return fmt.Errorf("load the users to push: %w", err)
	}
	if err := p.withConsents(ctx, c, items); err != nil {
		return err
	}
	var calls []*item
	for _, it := range p.stayAway(items, func(it *item) int { return it.push.Rank }) {
		if it.hash = p.hash(c, it.profile); it.hash == it.push.PushedHash {
			it.result = connector.Result{Status: unchanged, Details: unchangedSentence}
		} else {
			calls = append(calls, it)
		}
	}
	erased, err := p.begin(ctx, calls)
	if err != nil {
		return err
	}
	out := func(it *item) bool { return erased[it] }
	for it := range erased {
		gone = append(gone, it.push.UserID)
	}
	items, calls = slices.DeleteFunc(items, out), slices.DeleteFunc(calls, out)
	if len(calls) > 0 {
		p.bring(ctx, c, calls)
	}
	return p.recordStates(ctx, items, gone)
}

// unchanged is the status of a user whom the platform has already as they are.
const unchanged connector.Status = "unchanged"

const unchangedSentence = "The platform already has the user exactly like this"

// load reads the users as they are now. gone are those that are no more.
func (p *turn) load(ctx context.Context, due []platform.PushRow) (items []*item, gone []string, err error) {
	ids := make([]string, len(due))
	for i, d := range due {
		ids[i] = d.UserID
	}
	users, err := user.ByID(ctx, p.org, ids)
	if err != nil {
		return nil, nil, fmt.Errorf("read the users: %w", err)
	}
	for _, d := range due {
		u, ok := users[d.UserID]
		if !ok {
			gone = append(gone, d.UserID)
			continue
		}
		items = append(items, &item{push: d, profile: connector.ProfileOf(u.ID, u.Input(), d.Remote), version: u.Version})
	}
	return items, gone, nil
}

// hash fingerprints what the platform would be told of a person and of their wish, with
// the settings that say where.
func (p *turn) hash(c connector.Connector, profile connector.Profile) string {
	content, err := json.Marshal(c.Content(profile))
	if err != nil {
		return "" // never equal: pushed each time
	}
	sum := sha256.Sum256(slices.Concat([]byte(p.connection.Settings), []byte{0}, content, []byte(consent.WishesOf(c, p.id).Of(profile))))
	return hex.EncodeToString(sum[:12])
}

// begin notes that calls about these users are under way, and returns those who were
// erased since they were loaded: of them nobody may be told.
func (p *turn) begin(ctx context.Context, calls []*item) (erased map[*item]bool, err error) {
	if len(calls) == 0 {
		return nil, nil
	}
	err = p.Store.Tx(ctx, func(tx *store.Tx) error {
		if err := outbox.Hold(ctx, tx, p.claim); err != nil {
			return fmt.Errorf("hold the claim: %w", err)
		}
		ids := make([]string, len(calls))
		for i, it := range calls {
			ids[i] = it.push.UserID
		}
		left, err := platform.BeginCalls(ctx, tx, p.id, ids, callWithin)
		erased = map[*item]bool{}
		begun := make(map[string]bool, len(left))
		for _, id := range left {
			begun[id] = true
		}
		for _, it := range calls {
			if !begun[it.push.UserID] {
				erased[it] = true
			}
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("note that calls begin: %w", err)
	}
	return erased, nil
}
