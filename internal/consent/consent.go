// Package consent keeps whether users want to be written to, by channel, with who said
// so and when. The newest statement counts, in whatever order statements come.
package consent

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	"usersync/internal/event"
	"usersync/internal/store"
	"usersync/internal/usersync"
)

// Statement is what was said of a user.
type Statement struct {
	UserID  string
	Channel usersync.Channel
	usersync.Consent
	// Reason is why, in a word of the platform: "abuse". It is "" where there is none.
	Reason string
	// Cause is the request that said it, and Actor its kind, or the API key that said it.
	// Of what a platform told both are "".
	Cause, Actor string
}

const columns = `c.user_id, c.channel, c.status, c.source, c.connection_id, c.everywhere, c.stated_at`

var (
	listStatement = store.Define("consent.list", `
SELECT `+columns+` FROM {rows} JOIN consents c ON c.user_id = r.user_id WHERE c.organization_id = $1`, store.Col("user_id", store.Text))
	lockStatement = store.Define("consent.lock", `
SELECT u.id FROM users u WHERE u.organization_id = $1 AND u.id {any}SELECT r.user_id FROM {rows}{/any} ORDER BY u.id {for update}`, store.Col("user_id", store.Text))
	saveStatement = store.Define("consent.save", `
INSERT INTO consents (user_id, channel, organization_id, status, source, connection_id, everywhere, stated_at, updated_at)
SELECT u.id, r.channel, $1, r.status, r.source, r.connection_id, r.everywhere, r.stated_at, {now}
FROM {rows} JOIN users u ON u.id = r.user_id WHERE u.organization_id = $1
ON CONFLICT (user_id, channel, organization_id) DO UPDATE SET status = excluded.status, source = excluded.source, connection_id = excluded.connection_id,
    everywhere = excluded.everywhere, stated_at = excluded.stated_at, updated_at = excluded.updated_at
WHERE excluded.stated_at > consents.stated_at`,
		store.Col("user_id", store.Text), store.Col("channel", store.Text), store.Col("status", store.Text), store.Col("source", store.Text),
		store.Col("connection_id", store.Text), store.Col("everywhere", store.Bigint), store.Col("stated_at", store.Bigint))
)

// one is a row.
type one struct {
	user    string
	channel usersync.Channel
	usersync.Consent
}

func scan(scan func(...any) error) (c one, err error) {
	var everywhere, at int64
	err = scan(&c.user, &c.channel, &c.Status, &c.Source, &c.ConnectionID, &everywhere, &at)
	c.Everywhere, c.At = everywhere == 1, store.Stamp(at)
	return c, err
}

func byUser(list []one) map[string]usersync.Consents {
	out := map[string]usersync.Consents{}
	for _, c := range list {
		if out[c.user] == nil {
			out[c.user] = usersync.Consents{}
		}
		out[c.user][c.channel] = c.Consent
	}
	return out
}

// Of returns the consents of users, by user. Those of whom nothing is known are missing.
func Of(ctx context.Context, o *store.Org, users ...string) (map[string]usersync.Consents, error) {
	if len(users) == 0 {
		return nil, nil
	}
	list, err := store.Collect(ctx, o.Reader(), listStatement, store.IDRows(listStatement, users), scan, o.ID())
	if err != nil {
		return nil, fmt.Errorf("read consents: %w", err)
	}
	return byUser(list), nil
}

// Save takes in statements of users, those that are no more left out, and writes an event
// for each that turns a channel on or off. It returns the statements that changed what
// is known, oldest first: of two about one channel, the newer one counts.
func Save(ctx context.Context, tx *store.Tx, organization string, said []Statement) ([]Statement, error) {
	if len(said) == 0 {
		return nil, nil
	}
	slices.SortStableFunc(said, func(a, b Statement) int { return a.At.Compare(b.At.Time) })
	// The users are locked, so that of two transactions about one the later sees what the
	// earlier has written.
	users, err := store.Collect(ctx, tx.Conn, lockStatement, store.IDRows(lockStatement, usersOf(said)), store.ScanString, organization)
	if err != nil {
		return nil, fmt.Errorf("lock the users: %w", err)
	}
	stored, err := store.Collect(ctx, tx.Conn, listStatement, store.IDRows(listStatement, users), scan, organization)
	if err != nil {
		return nil, fmt.Errorf("read what is known: %w", err)
	}
	known := byUser(stored)
	kept, changed := map[place]usersync.Consent{}, []Statement(nil)
	for _, s := range said {
		before := known[s.UserID][s.Channel]
		if _, there := slices.BinarySearch(users, s.UserID); !there || !replaces(s.Consent, before) {
			continue
		}
		now := after(s.Consent, before)
		if known[s.UserID] == nil {
			known[s.UserID] = usersync.Consents{}
		}
		known[s.UserID][s.Channel], kept[place{s.UserID, s.Channel}] = now, now
		if now.Status != before.Status || now.ConnectionID == "" && now.Status == usersync.Subscribed {
			changed = append(changed, s)
		}
	}
	if err := write(ctx, tx, organization, kept); err != nil {
		return nil, err
	}
	return changed, event.Save(ctx, tx, organization, events(changed))
}

// place is where a consent is kept.
type place struct {
	user    string
	channel usersync.Channel
}

func write(ctx context.Context, tx *store.Tx, organization string, kept map[place]usersync.Consent) error {
	if len(kept) == 0 {
		return nil
	}
	places := slices.SortedFunc(maps.Keys(kept), func(a, b place) int {
		return cmp.Or(cmp.Compare(a.user, b.user), cmp.Compare(a.channel, b.channel))
	})
	set := saveStatement.Rows(len(places))
	for _, p := range places {
		c := kept[p]
		everywhere := int64(0)
		if c.Everywhere {
			everywhere = 1
		}
		set.Add(p.user, string(p.channel), string(c.Status), c.Source, c.ConnectionID, everywhere, store.Micros(c.At.Time))
	}
	return tx.Later(ctx, saveStatement, set, nil, organization)
}

func usersOf(said []Statement) []string {
	users := make([]string, len(said))
	for i, s := range said {
		users[i] = s.UserID
	}
	slices.Sort(users)
	return slices.Compact(users)
}

// types are the events that tell of a new status.
var types = map[usersync.ConsentStatus]event.Type{
	usersync.Subscribed: event.UserSubscribed, usersync.Unsubscribed: event.UserUnsubscribed,
}

// events tell what was said. The same statement, sent again, changes nothing and has no
// event.
func events(changed []Statement) []event.Event {
	var out []event.Event
	for _, s := range changed {
		t, told := types[s.Status]
		if !told {
			continue
		}
		attributes := map[string]any{"channel": s.Channel, "source": s.Source, "at": s.At}
		if s.ConnectionID != "" {
			attributes["connectionId"] = s.ConnectionID
		}
		if s.Reason != "" {
			attributes["reason"] = s.Reason
		}
		out = append(out, event.Event{
			ID: usersync.NewID(usersync.PrefixEvent), Type: t, UserID: s.UserID, Cause: s.Cause, Attributes: attributes,
			Source: cmp.Or(s.ConnectionID, s.Actor),
		})
	}
	return out
}
