package pipeline

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"usersync/internal/colleague"
	"usersync/internal/erasure"
	"usersync/internal/event"
	"usersync/internal/followup/catalog"
	"usersync/internal/outbox"
	"usersync/internal/queue"
	"usersync/internal/reaction"
	"usersync/internal/request"
	"usersync/internal/store"
	"usersync/internal/user"
	"usersync/internal/usersync"
)

// EventRun takes in events of one organization: what they say of users is stored, and the
// follow-ups that they set off begin.
var EventRun = queue.Kind[RunArgs]{Name: "event.run", Queue: queue.Run, Timeout: time.Minute, Coalesce: runCoalesced}

// reported is an event as a run works it: its request, with the user, and the event.
type reported struct {
	request.Work
	event event.Event
	// version is that of the organization's follow-ups.
	version int64
	now     time.Time // the database's, when this was read
}

// Events are read with their requests. One that retention has removed meanwhile has no id.
const eventWorkText = `
SELECT %s, coalesce(e.id, ''), coalesce(e.type, ''), coalesce(e.attributes, ''), coalesce(e.caused_by, ''), coalesce(e.created_at, 0),
    coalesce((SELECT ` + catalog.VersionText + ` FROM organizations o WHERE o.id = q.organization_id), 0), {now}
FROM {rows} JOIN requests q ON q.organization_id = r.organization_id AND q.id = r.id%s
LEFT JOIN events e ON e.organization_id = r.organization_id AND e.id = r.event_id
WHERE q.task_id {words}$1{/words} AND ` + request.WorkToDo

var eventWorkStatement = store.Define("pipeline.eventWork",
	fmt.Sprintf(eventWorkText, request.WorkColumns, `
JOIN users u ON u.id = q.user_id`)+`
UNION ALL`+fmt.Sprintf(eventWorkText, request.WorkOfNobody, "")+` AND q.user_id = ''`,
	store.Col("organization_id", store.Text), store.Col("id", store.Text), store.Col("event_id", store.Text))

func scanReported(scan func(...any) error) (r reported, err error) {
	var row request.WorkRow
	var attributes, caused string
	var created, now int64
	e := &r.event
	if err = scan(append(row.Columns(), &e.ID, &e.Type, &attributes, &caused, &created, &r.version, &now)...); err != nil {
		return r, err
	}
	if r.Work, err = row.Work(); err != nil {
		return r, err
	}
	e.Source, e.UserID, e.Cause, e.CreatedAt, r.now = string(r.Kind), r.User.ID, r.ID, store.Stamp(created), store.At(now)
	return r, errors.Join(store.Decode(attributes, &e.Attributes), store.Decode(caused, &e.Trigger))
}

// loadEvents loads those of the events that the claimed tasks still have to work, in the
// order of their acceptance.
func (s *Service) loadEvents(ctx context.Context, c usersync.Claim, ids []string) ([]reported, error) {
	set := eventWorkStatement.Rows(len(ids))
	for _, id := range ids {
		set.Add(c.Organization, id, event.OfRequest(id))
	}
	list, err := store.Collect(ctx, s.Store.Reader(), eventWorkStatement, set, scanReported, outbox.TaskWords(c))
	if err != nil {
		return nil, fmt.Errorf("load the events: %w", err)
	}
	slices.SortFunc(list, func(a, b reported) int { return cmp.Compare(a.Sequence, b.Sequence) })
	return list, nil
}

func (s *Service) runEvents(ctx context.Context, c usersync.Claim, _ RunArgs) error {
	leave, err := s.Turns.Enter(ctx, c.Organization)
	if err != nil {
		return fmt.Errorf("wait for the organization's turn: %w", err)
	}
	defer leave()
	return s.workEvents(ctx, c, s.react)
}

// giveUpEvents ends events that could not be worked: they fail by our fault.
func (s *Service) giveUpEvents(ctx context.Context, c usersync.Claim, _ RunArgs, _ error) error {
	return s.workEvents(ctx, c, func(_ context.Context, _ *batch, list []reported) ([]reaction.Reaction, []request.Step, error) {
		steps := make([]request.Step, len(list))
		for i, r := range list {
			steps[i] = failedStep(r.Work, usersync.CodeInternal, "The event could not be worked.")
			steps[i].Name = request.StepFollowUps
		}
		return nil, steps, nil
	})
}

// reacting says what events lead to, and the step of each.
type reacting func(ctx context.Context, b *batch, list []reported) ([]reaction.Reaction, []request.Step, error)

func (s *Service) workEvents(ctx context.Context, c usersync.Claim, react reacting) error {
	all, err := EventRun.ArgsOf(c)
	if err != nil {
		return err
	}
	var ids []string
	for _, args := range all {
		ids = append(ids, args.RequestIDs...)
	}
	for try := 0; ; try++ { //lint:loop loads again what another has changed meanwhile
		list, err := s.loadEvents(ctx, c, ids)
		if err != nil {
			return err
		}
		err = s.settleEvents(ctx, c, ids, list, react)
		if !errors.Is(err, store.ErrStale) || try == maxStale {
			return err
		}
	}
}

// settleEvents writes what the events say and lead to, in one transaction under the claim.
func (s *Service) settleEvents(ctx context.Context, c usersync.Claim, asked []string, list []reported, react reacting) error {
	b := &batch{claim: c, asked: asked, users: map[string]*usersync.User{}}
	for _, r := range list {
		b.works = append(b.works, r.Work)
	}
	b.merge()
	reactions, steps, err := react(ctx, b, list)
	if err != nil {
		return err
	}
	outcomes := make([]request.Outcome, len(list))
	for i, r := range list {
		o := r.Outcome()
		o.StartedAt, o.FinishedAt, o.Steps = b.startedAt(r.Work), r.now, []request.Step{steps[i]}
		o.Status = request.StatusOf(o.Steps)
		outcomes[i] = o
	}
	var finished []string
	write := func(tx *store.Tx) (err error) {
		finished, err = b.saveEvents(ctx, tx, outcomes, reactions)
		return err
	}
	err = store.Repeat(ctx, func(try int) error {
		if !b.fresh() {
			try++ // an earlier run has written some of it
		}
		return s.Store.Once(ctx, try, write)
	})
	if err != nil {
		return err
	}
	s.Queue.PublishFinished(ctx, finished)
	return nil
}

// saveEvents is the transaction of settleEvents. It returns the ids of the requests that
// have ended.
func (b *batch) saveEvents(ctx context.Context, tx *store.Tx, outcomes []request.Outcome, reactions []reaction.Reaction) (finished []string, err error) {
	if err := outbox.Finish(ctx, tx, b.claim); err != nil {
		return nil, err
	}
	if finished, err = b.endOrphanedEvents(ctx, tx); err != nil {
		return nil, err
	}
	if err := user.Save(ctx, tx, b.changed); err != nil {
		return nil, err
	}
	if err := event.Save(ctx, tx, b.claim.Organization, b.events); err != nil {
		return nil, err
	}
	if err := reaction.Begin(ctx, tx, b.claim.Organization, reactions); err != nil {
		return nil, err
	}
	if err := colleague.Join(ctx, tx, b.claim.Organization, b.newcomers()); err != nil {
		return nil, err
	}
	ended, err := request.SaveOutcomes(ctx, tx, b.claim.Organization, outcomes)
	return append(finished, ended...), err
}

// endOrphanedEvents ends the requests that were accepted while their user was erased, and
// empties what they said.
func (b *batch) endOrphanedEvents(ctx context.Context, tx *store.Tx) ([]string, error) {
	if len(b.works) == len(b.asked) {
		return nil, nil
	}
	orphans, err := erasure.EndOrphans(ctx, tx, b.claim, b.asked)
	if err != nil || len(orphans) == 0 {
		return nil, err
	}
	ids := make([]string, len(orphans))
	for i, id := range orphans {
		ids[i] = event.OfRequest(id)
	}
	return orphans, event.Empty(ctx, tx, b.claim.Organization, ids)
}
