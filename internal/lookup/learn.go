package lookup

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"usersync/internal/intake"
	"usersync/internal/request"
	"usersync/internal/store"
	"usersync/internal/tenant"
	"usersync/internal/user"
	"usersync/internal/usersync"
)

// Learning is what a look-up learnt of a user, to be taken over into our store.
type Learning struct {
	Organization tenant.Organization
	Query        Query
	// New says that our store does not know the user yet.
	New   bool
	Input usersync.UserInput
}

// whom tells users apart.
func (l Learning) whom() string { return l.Organization.ID + "\n" + l.Input.Email.Key() }

const (
	// maxLearnings bounds what waits. What does not fit is learnt by the next look-up.
	maxLearnings = 1024
	// again is for how long the same of the same user is not taken over twice: until the
	// store has it.
	again = time.Minute
	// learnWithin bounds one acceptance.
	learnWithin = 10 * time.Second
)

// Learn has what was learnt taken over into our store, through the queue.
func (r *Recorder) Learn(l Learning) {
	if !r.recent.add(l.whom(), l.Input) {
		return
	}
	select {
	case r.learnt <- l:
	default:
		r.recent.forget(l.whom())
	}
}

func (r *Recorder) runLearn(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case l := <-r.learnt:
			if err := r.accept(ctx, l); err != nil {
				r.recent.forget(l.whom())
				r.log.ErrorContext(ctx, "what a look-up learnt could not be taken over; the next one tries again", "organization", l.Organization.ID, "error", err)
			}
		}
	}
}

// accept accepts the event SUBSCRIBE_USER_UPDATE with what was learnt: its task merges that
// into the user, together with the other events that wait. Who was erased stays so.
func (r *Recorder) accept(ctx context.Context, l Learning) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), learnWithin)
	defer cancel()
	o := l.Organization
	if l.New {
		erased, err := user.ErasedAt(ctx, r.store.Org(o.ID), o.Salt, l.Input.Email)
		if err != nil {
			return fmt.Errorf("ask whether the person was erased: %w", err)
		}
		if !erased.IsZero() {
			return nil
		}
	}
	a := intake.Acceptance{
		RequestID: usersync.NewID(usersync.PrefixRequest), Kind: request.KindEvent, Salt: o.Salt, Traceparent: l.Query.Traceparent,
		User:  intake.NewUser{UserInput: l.Input, Identity: user.IdentityOf(l.Input)},
		Event: &intake.NewEvent{Type: string(StoreUpdate), Attributes: l.Query.event(StoreUpdate, "", outcomeOf(true, nil)).Attributes},
	}
	return r.store.Tx(ctx, func(tx *store.Tx) error {
		once := a
		return intake.AcceptOwn(ctx, tx, o.ID, &once)
	})
}

// maxRecent bounds what is remembered.
const maxRecent = 10_000

// recent remembers what was taken over of whom.
type recent struct {
	mu   sync.Mutex
	last map[string]taken
}

type taken struct {
	what [sha256.Size]byte
	at   time.Time
}

func newRecent() *recent { return &recent{last: map[string]taken{}} }

// add notes what is taken over, and reports false where the same was a short while ago.
func (r *recent) add(whom string, in usersync.UserInput) bool {
	text, _ := json.Marshal(in) // texts, numbers and booleans can always be JSON
	what, now := sha256.Sum256(text), time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	if before, ok := r.last[whom]; ok && before.what == what && now.Sub(before.at) < again {
		return false
	}
	if len(r.last) >= maxRecent {
		clear(r.last)
	}
	r.last[whom] = taken{what, now}
	return true
}

func (r *recent) forget(whom string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.last, whom)
}
