// Package erasure removes what is left of an erased person in rows that stay:
// requests, webhook messages, events. The person's own records are gone before,
// in the transaction that began the erasure.
package erasure

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"usersync/internal/outbox"
	"usersync/internal/queue"
	"usersync/internal/store"
	"usersync/internal/usersync"
)

// Erase removes one person's traces, a batch with every run.
var Erase = queue.Kind[Args]{Name: "user.erase", Queue: queue.Run, Timeout: time.Minute}

// Args of Erase: ids, and how far it has come.
type Args struct {
	ErasureID   string `json:"erasure"`
	UserID      string `json:"user,omitempty"`
	ColleagueID string `json:"colleague,omitempty"`
	Part        Part   `json:"part"`
	From        Cursor `json:"from,omitzero"`
	// Emptied is when the tables held nothing any more, in microseconds since 1970; 0
	// before that is known.
	Emptied int64 `json:"emptied,omitempty"`
}

// Part is one sort of rows that an erasure goes through.
type Part string

// The parts, in the order of the work.
const (
	Requests Part = "requests" // the person's own requests and what was sent of them
	Mentions Part = "mentions" // messages that told others of the person
	Events   Part = "events"
	Files    Part = "files" // what the files of a SQLite database still hold of it
)

// next is the part that follows; "" after the last.
var next = map[Part]Part{Requests: Mentions, Mentions: Events, Events: Files}

// batchOf bounds the requests of one transaction, which locks their rows for some tens
// of milliseconds.
const batchOf = 200

// Task returns the task that removes the traces of a person.
func Task(organization string, t Traces) usersync.Task {
	id := usersync.DeriveID(usersync.PrefixTask, t.ErasureID)
	return Erase.Task(id, organization, organization, Args{ErasureID: t.ErasureID, UserID: t.UserID, ColleagueID: t.ColleagueID, Part: Requests})
}

// Service erases.
type Service struct {
	Store *store.Store

	scrubbing sync.Mutex
	// scrubbed is when the last scrub began that left nothing. The file of SQLite belongs
	// to one process.
	scrubbed time.Time
}

// Handler returns the handler of Erase.
func (s *Service) Handler() queue.Handler { return Erase.Work(s.work, s.giveUp) }

// work does one batch. What it removed, the count and where to go on are one
// transaction: killed anywhere, the next run goes on from there. The fence comes
// last, because only then is known where to go on.
func (s *Service) work(ctx context.Context, c usersync.Claim, args Args) error {
	if args.Part == Files {
		return s.scrub(ctx, c, args)
	}
	return s.Store.Tx(ctx, func(tx *store.Tx) error {
		then, removed, err := batch(ctx, tx, c.Organization, args)
		if err != nil {
			return fmt.Errorf("erase a batch of %s: %w", args.Part, err)
		}
		if err := NoteRemoved(ctx, tx, args.ErasureID, removed); err != nil {
			return fmt.Errorf("note what was removed: %w", err)
		}
		if then.Part == Files && !s.Store.Embedded() {
			return s.end(ctx, tx, c, args)
		}
		return outbox.Rearm(ctx, tx, c, argsOf(c, then), outbox.When{})
	})
}

// argsOf returns arguments as the row of the task holds them.
func argsOf(c usersync.Claim, args Args) json.RawMessage {
	return Erase.Task(c.TaskID, c.Organization, c.FairnessKey, args).Args
}

// end closes the erasure.
func (s *Service) end(ctx context.Context, tx *store.Tx, c usersync.Claim, args Args) error {
	if err := Close(ctx, tx, args.ErasureID); err != nil {
		return err
	}
	return outbox.Finish(ctx, tx, c)
}

const (
	// scrubAgain is how long an erasure waits for those who read old pages.
	scrubAgain = time.Second
	// scrubEvery is how far scrubs are apart at least, since nobody writes while a file is
	// written anew. One does for all erasures that have come so far.
	scrubEvery = 2 * time.Second
)

// scrub closes the erasure when the files hold nothing any more of what was removed.
func (s *Service) scrub(ctx context.Context, c usersync.Claim, args Args) error {
	// Whoever has lost the claim keeps nobody from writing.
	if err := s.Store.Tx(ctx, func(tx *store.Tx) error { return outbox.Hold(ctx, tx, c) }); err != nil {
		return fmt.Errorf("hold the claim: %w", err)
	}
	if args.Emptied == 0 {
		args.Emptied = store.Micros(time.Now()) //lint:clock SQLite alone is scrubbed, and has one process, whose clock this and scrubbed are of
	}
	clean, wait, err := s.scrubbedSince(ctx, store.At(args.Emptied))
	if err != nil {
		return fmt.Errorf("scrub the files of the database: %w", err)
	}
	return s.Store.Tx(ctx, func(tx *store.Tx) error {
		if clean {
			return s.end(ctx, tx, c, args)
		}
		return outbox.Rearm(ctx, tx, c, argsOf(c, args), outbox.In(wait))
	})
}

// scrubbedSince reports whether the files were scrubbed after a time, and scrubs them
// where that may be done now. wait says when to ask again.
func (s *Service) scrubbedSince(ctx context.Context, since time.Time) (clean bool, wait time.Duration, err error) {
	s.scrubbing.Lock()
	defer s.scrubbing.Unlock()
	if s.scrubbed.After(since) {
		return true, 0, nil
	}
	//lint:clock it measures, as scrubbed was read here
	if wait := scrubEvery - time.Since(s.scrubbed); wait > 0 {
		return false, wait, nil
	}
	began := time.Now() //lint:clock it is compared with Emptied, see scrub
	if clean, err = s.Store.Scrub(ctx); clean {
		s.scrubbed = began
	}
	return clean, scrubAgain, err
}

// batch removes one batch and returns the arguments of the next.
func batch(ctx context.Context, tx *store.Tx, organization string, args Args) (then Args, removed Removed, err error) {
	more := false
	then = args
	switch {
	case args.Part == Requests && args.UserID != "":
		then.From, removed, more, err = EraseRequests(ctx, tx, organization, args.UserID, args.From, batchOf)
	case args.Part == Mentions && args.ColleagueID != "":
		then.From, removed, more, err = EraseMentions(ctx, tx, organization, args.ColleagueID, args.From, batchOf)
	case args.Part == Events && args.UserID != "":
		removed, more, err = EraseEvents(ctx, tx, args.UserID, batchOf)
	}
	if !more {
		then.Part, then.From = next[args.Part], Cursor{}
	}
	return then, removed, err
}

// later is how long an erasure waits after its task has failed too often.
const later = 10 * time.Minute

// giveUp does not give up: an erasure that was promised is tried until it is done. It
// begins again after a while.
func (s *Service) giveUp(ctx context.Context, c usersync.Claim, args Args, _ error) error {
	return s.Store.Tx(ctx, func(tx *store.Tx) error {
		return outbox.Rearm(ctx, tx, c, argsOf(c, args), outbox.In(later))
	})
}
