package inbound

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"usersync/internal/connector"
	"usersync/internal/foreign"
	"usersync/internal/identity"
	"usersync/internal/outbox"
	"usersync/internal/store"
	"usersync/internal/usersync"
)

// signal is one that waits to be taken in.
type signal struct {
	ID, Key, UserID, Remote string
	Channel                 usersync.Channel
	Status                  usersync.ConsentStatus
	Reason                  string
	At                      time.Time
}

// prefix is that of the ids of signals.
const prefix usersync.Prefix = "sig"

// firstTime is before anything that a platform may tell of.
var firstTime = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// read returns what can be kept of what a platform told at a time, sorted and without
// repetition. What is to happen only later counts as told now: nobody's wish of today
// must be overruled by a clock that is ahead.
func read(connection string, told []connector.Signal, now time.Time) []signal {
	var out []signal
	for _, t := range told {
		s := signal{UserID: t.UserID, Remote: t.Remote, Channel: t.Channel, Status: t.Status, Reason: foreign.Fit(t.Reason, connector.MaxName), At: t.At.UTC().Truncate(time.Microsecond)}
		if email, err := identity.ParseEmail(t.Email); err == nil {
			s.Key = email.Key()
		}
		if !foreign.Fits(s.UserID, connector.MaxName) || !foreign.Fits(s.Remote, connector.MaxName) || s.At.Before(firstTime) || s.Key+s.UserID+s.Remote == "" {
			continue
		}
		if s.At.After(now) {
			s.At = now.UTC().Truncate(time.Microsecond)
		}
		s.ID = usersync.DeriveID(prefix, connection, s.Key, s.UserID, s.Remote, string(s.Channel), string(s.Status), strconv.FormatInt(s.At.UnixMicro(), 10))
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b signal) int { return cmp.Compare(a.ID, b.ID) })
	return slices.CompactFunc(out, func(a, b signal) bool { return a.ID == b.ID })
}

var keepStatement = store.Define("inbound.keep", `
INSERT INTO signals (connection_id, id, organization_id, email_key, user_id, remote, channel, status, reason, stated_at, created_at)
SELECT $2, r.id, $1, r.email_key, r.user_id, r.remote, r.channel, r.status, r.reason, r.stated_at, {now} FROM {rows} WHERE true
ON CONFLICT (connection_id, id, organization_id) DO NOTHING`,
	store.Col("id", store.Text), store.Col("email_key", store.Text), store.Col("user_id", store.Text), store.Col("remote", store.Text),
	store.Col("channel", store.Text), store.Col("status", store.Text), store.Col("reason", store.Text), store.Col("stated_at", store.Bigint))

// Accept keeps what the platform of a connection told, with the task that takes it in:
// when it returns, nothing of it is lost. It returns how much there is to take in.
func Accept(ctx context.Context, o *store.Org, connection string, told []connector.Signal, now time.Time) (int, error) {
	list := read(connection, told, now)
	if len(list) == 0 {
		return 0, nil
	}
	task := TakeIn.Task(usersync.NewID(usersync.PrefixTask), o.ID(), connection, Args{connection})
	return len(list), o.Tx(ctx, func(tx *store.Tx) error {
		set := keepStatement.Rows(len(list))
		for _, s := range list {
			set.Add(s.ID, s.Key, s.UserID, s.Remote, string(s.Channel), string(s.Status), s.Reason, store.Micros(s.At))
		}
		if _, err := tx.Exec(ctx, keepStatement, set, o.ID(), connection); err != nil {
			return fmt.Errorf("keep what the platform told: %w", err)
		}
		return outbox.Enqueue(ctx, tx, task)
	})
}

var (
	waitingStatement = store.Define("inbound.waiting", `
SELECT s.id, s.email_key, s.user_id, s.remote, s.channel, s.status, s.reason, s.stated_at FROM signals s
WHERE s.connection_id = $1 ORDER BY s.id LIMIT $2`)
	forgetStatement = store.Define("inbound.forget", `
DELETE FROM signals WHERE {row} {any}SELECT s.{row} FROM {rows} JOIN signals s ON s.connection_id = r.connection_id AND s.id = r.id{/any}`,
		store.Col("connection_id", store.Text), store.Col("id", store.Text))
)

func waiting(ctx context.Context, o *store.Org, connection string, limit int) ([]signal, error) {
	return store.Collect(ctx, o.Reader(), waitingStatement, nil, func(scan func(...any) error) (s signal, err error) {
		var at int64
		err = scan(&s.ID, &s.Key, &s.UserID, &s.Remote, &s.Channel, &s.Status, &s.Reason, &at)
		s.At = store.At(at)
		return s, err
	}, connection, limit)
}

func forget(ctx context.Context, tx *store.Tx, connection string, list []signal) error {
	if len(list) == 0 {
		return nil
	}
	set := forgetStatement.Rows(len(list))
	for _, s := range list {
		set.Add(connection, s.ID)
	}
	return tx.Later(ctx, forgetStatement, set, nil)
}
