package inbound

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"usersync/internal/connector"
	"usersync/internal/connector/ability"
	"usersync/internal/consent"
	"usersync/internal/credit"
	"usersync/internal/delivery"
	"usersync/internal/identity"
	"usersync/internal/outbox"
	"usersync/internal/platform"
	"usersync/internal/queue"
	"usersync/internal/store"
	"usersync/internal/telemetry"
	"usersync/internal/tenant"
	"usersync/internal/user"
	"usersync/internal/usersync"
)

// TakeIn takes in what the platform of one connection has told.
var TakeIn = queue.Kind[Args]{Name: "inbound.takeIn", Queue: queue.Push, Timeout: 2 * time.Minute}

// Args are the arguments of TakeIn.
type Args struct {
	ConnectionID string `json:"connection"`
}

// Service takes in what platforms have told.
type Service struct {
	Store *store.Store
	// Open opens a connection of an organization, to ask who is meant by an id.
	Open func(ctx context.Context, organization, connection string) (connector.Connector, error)
}

// Handler returns the handler of TakeIn.
func (s *Service) Handler() queue.Handler { return TakeIn.Work(s.takeIn, s.again) }

// tryAgain is how long a platform that cannot say who is meant is left alone.
const tryAgain = 10 * time.Minute

// again does not give up: what was accepted is still there.
func (s *Service) again(ctx context.Context, c usersync.Claim, _ Args, _ error) error {
	return s.Store.Tx(ctx, func(tx *store.Tx) error { return outbox.Rearm(ctx, tx, c, c.Args, outbox.In(tryAgain)) })
}

// slice bounds what one transaction takes in.
const slice = 500

func (s *Service) takeIn(ctx context.Context, c usersync.Claim, args Args) error {
	org := s.Store.Org(c.Organization)
	list, err := waiting(ctx, org, args.ConnectionID, slice)
	if err != nil {
		return fmt.Errorf("read what the platform told: %w", err)
	}
	telemetry.Add(ctx, slog.String("connection", args.ConnectionID), slog.Int("signals", len(list)))
	if err := s.resolve(ctx, org, args.ConnectionID, list); err != nil {
		return fmt.Errorf("ask the platform who is meant: %w", err)
	}
	b := &batch{connection: args.ConnectionID, signals: list}
	if b.from, err = platform.GetConnection(ctx, org, args.ConnectionID); err != nil && !errors.Is(err, platform.ErrNoConnection) {
		return fmt.Errorf("read the connection: %w", err)
	}
	if b.organization, err = tenant.Get(ctx, s.Store, c.Organization); err != nil {
		return fmt.Errorf("read the organization: %w", err)
	}
	return s.Store.Tx(ctx, func(tx *store.Tx) error { return b.write(ctx, tx, c) })
}

// resolve asks the platform for the addresses of those whom it named by ids of its own.
// Whoever it does not know stays without an address, and is nobody's.
func (s *Service) resolve(ctx context.Context, org *store.Org, connection string, list []signal) error {
	var remotes []string
	for _, one := range list {
		if one.Key == "" && one.UserID == "" {
			remotes = append(remotes, one.Remote)
		}
	}
	if len(remotes) == 0 {
		return nil
	}
	opened, err := s.Open(ctx, org.ID(), connection)
	if errors.Is(err, platform.ErrNoConnection) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("open the connection: %w", err)
	}
	resolver, ok := ability.ResolverOf(opened)
	if !ok {
		return nil
	}
	addresses, err := resolver.Resolve(ctx, remotes)
	if err != nil {
		return fmt.Errorf("resolve the ids: %w", err)
	}
	for i := range list {
		if email, err := identity.ParseEmail(addresses[list[i].Remote]); err == nil && list[i].Key == "" {
			list[i].Key = email.Key()
		}
	}
	return nil
}

// batch is what one transaction takes in.
type batch struct {
	connection   string
	from         platform.Connection // zero when it was deleted meanwhile
	organization tenant.Organization
	signals      []signal
}

func (b *batch) write(ctx context.Context, tx *store.Tx, c usersync.Claim) error {
	if err := b.end(ctx, tx, c); err != nil {
		return err
	}
	if err := forget(ctx, tx, b.connection, b.signals); err != nil || b.from.ID == "" {
		return err
	}
	said, err := b.statements(ctx, tx)
	if err != nil {
		return err
	}
	changed, err := consent.Save(ctx, tx, b.organization.ID, said)
	if err != nil {
		return fmt.Errorf("save the consents: %w", err)
	}
	left := unsubscribed(changed)
	if b.follow() {
		if err := platform.PushAgain(ctx, tx, b.organization.ID, usersOf(left), b.connection); err != nil {
			return fmt.Errorf("have the other platforms follow: %w", err)
		}
	}
	return b.tell(ctx, tx, left)
}

// end finishes the task, or has it come again where there may be more.
func (b *batch) end(ctx context.Context, tx *store.Tx, c usersync.Claim) error {
	if len(b.signals) == slice {
		return outbox.Rearm(ctx, tx, c, c.Args, outbox.When{})
	}
	return outbox.Finish(ctx, tx, c)
}

func (b *batch) follow() bool { return b.organization.Settings.FollowUnsubscribes }

// statements are what was told of users that are known.
func (b *batch) statements(ctx context.Context, tx *store.Tx) ([]consent.Statement, error) {
	var keys, ids []string
	for _, s := range b.signals {
		keys, ids = append(keys, s.Key), append(ids, s.UserID)
	}
	byKey, known, err := user.Known(ctx, tx, b.organization.ID, keys, ids)
	if err != nil {
		return nil, fmt.Errorf("find the users: %w", err)
	}
	var out []consent.Statement
	for _, s := range b.signals {
		id := byKey[s.Key]
		if known[s.UserID] {
			id = s.UserID
		}
		if id == "" {
			continue
		}
		out = append(out, consent.Statement{UserID: id, Channel: s.Channel, Reason: s.Reason, Consent: usersync.Consent{
			Status: s.Status, Source: b.from.Platform, ConnectionID: b.connection, Everywhere: b.follow() && s.Status == usersync.Unsubscribed,
			At: usersync.Time{Time: s.At},
		}})
	}
	return out, nil
}

func unsubscribed(changed []consent.Statement) (out []consent.Statement) {
	for _, s := range changed {
		if s.Status == usersync.Unsubscribed {
			out = append(out, s)
		}
	}
	return out
}

func usersOf(list []consent.Statement) []string {
	ids := make([]string, len(list))
	for i, s := range list {
		ids[i] = s.UserID
	}
	return ids
}

// Data is the data of a user.unsubscribed message. It names no address: who receives it
// may look the user up.
type Data struct {
	UserID       string           `json:"userId"`
	Channel      usersync.Channel `json:"channel"`
	Source       string           `json:"source"`
	ConnectionID string           `json:"connectionId"`
	Reason       string           `json:"reason,omitempty"`
	At           usersync.Time    `json:"at"`
}

// tell enqueues the messages about who has unsubscribed.
func (b *batch) tell(ctx context.Context, tx *store.Tx, left []consent.Statement) error {
	if len(left) == 0 {
		return nil
	}
	endpoints, err := delivery.EnabledEndpoints(ctx, tx, b.organization.ID)
	if err != nil {
		return fmt.Errorf("read the enabled endpoints: %w", err)
	}
	var account credit.Account
	messages := delivery.NewMessages(&account, endpoints)
	if !messages.Wanted(delivery.MessageUnsubscribed) {
		return nil
	}
	if account, err = credit.Lock(ctx, tx, b.organization.ID); err != nil {
		return fmt.Errorf("lock the account: %w", err)
	}
	for _, s := range left {
		data := Data{UserID: s.UserID, Channel: s.Channel, Source: s.Source, ConnectionID: s.ConnectionID, Reason: s.Reason, At: s.At}
		if err := messages.Add(delivery.AboutOrganization(delivery.MessageUnsubscribed), data); err != nil {
			return fmt.Errorf("make the message: %w", err)
		}
	}
	return messages.Enqueue(ctx, tx)
}
