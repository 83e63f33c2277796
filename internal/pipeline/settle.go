package pipeline

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"usersync/internal/colleague"
	"usersync/internal/credit"
	"usersync/internal/delivery"
	"usersync/internal/erasure"
	"usersync/internal/event"
	"usersync/internal/outbox"
	"usersync/internal/platform"
	"usersync/internal/queue"
	"usersync/internal/request"
	"usersync/internal/store"
	"usersync/internal/tenant"
	"usersync/internal/user"
	"usersync/internal/usersync"
)

// unpaidFor is how long a request waits for credits before it fails.
const unpaidFor = 30 * 24 * time.Hour

// verdict is what became of the colleagues step of one request, before it is
// known whether there is a credit to pay for it.
type verdict struct {
	step  request.Step
	found []colleague.Match
}

// found turns the result of a search into a step.
func found(w request.Work, r colleague.Result) verdict {
	step := request.Step{Name: request.StepColleagues, Attempts: w.Run}
	switch {
	case r.Skipped != "":
		step.Status, step.Reason = request.StepSkipped, r.Skipped
	default:
		step.Status, step.Details = request.StepSucceeded, countSentence(len(r.Found))+withoutSources(r.Unanswered)
	}
	return verdict{step: step, found: r.Found}
}

func countSentence(n int) string {
	switch n {
	case 0:
		return "No colleagues found"
	case 1:
		return "1 colleague found"
	}
	return strconv.Itoa(n) + " colleagues found"
}

// withoutSources says which sources the search had to do without.
func withoutSources(unanswered []colleague.Unanswered) string {
	var out strings.Builder
	for _, u := range unanswered {
		fmt.Fprintf(&out, "; %s did not answer (%s)", u.Source, u.Err.Code)
	}
	return out.String()
}

// joined joins two sentences of a step, of which either may be "".
func joined(details, remark string) string {
	if details == "" || remark == "" {
		return details + remark
	}
	return details + "; " + remark
}

func failedStep(w request.Work, code usersync.Code, message string) request.Step {
	return request.Step{Name: request.StepColleagues, Status: request.StepFailed, Attempts: w.Run, ErrorCode: code, ErrorMessage: message}
}

// billable is the rule of the contract: a credit is billed only when more than
// one colleague was found, and a request bills at most one, ever.
func billable(w request.Work, v verdict) bool { return len(v.found) > 1 && w.Charged == 0 }

// settle writes everything a batch ends in, in one transaction under the
// claim: users, colleague records, ledger entries, steps, statuses, messages
// and the tasks that go on from there. The locked balance decides who is paid
// for, oldest first; who is not waits and is told nothing.
//
// The webhooks that find a slot at this worker are handed back for it to deliver.
func (s *Service) settle(ctx context.Context, b *batch, local *queue.LocalSlots, decide func(int) verdict) ([]queue.LocalTask, error) {
	slots := local.Reserve()
	defer slots.Release()
	var st *settlement
	write := func(tx *store.Tx) error {
		slots.Release() // what an earlier try of the transaction took
		st = &settlement{batch: b, tx: tx, slots: slots}
		return st.run(ctx, decide)
	}
	err := store.Repeat(ctx, func(try int) error {
		if !b.fresh() {
			try++ // an earlier run has written some of it
		}
		return s.Store.Once(ctx, try, write)
	})
	if err != nil {
		return nil, err
	}
	for _, t := range st.local {
		slots.Use(t.Claim.TaskID)
	}
	s.Queue.PublishFinished(ctx, append(st.finished, st.resting()...))
	return st.local, nil
}

// resting returns the ids of the requests that wait for nothing but connections that rest.
func (st *settlement) resting() (ids []string) {
	for i, o := range st.outcomes {
		moves := func(s request.Step) bool {
			return s.Status == request.StepAwaitingCredits || s.Status == request.StepRetrying ||
				s.Status == request.StepPending && !connectionOf(st.targets, s).Rests()
		}
		if !o.Status.Final() && !slices.ContainsFunc(st.steps[i], moves) {
			ids = append(ids, o.RequestID)
		}
	}
	return ids
}

// settlement is the work of one settling transaction.
type settlement struct {
	*batch
	tx       *store.Tx
	slots    *queue.Reservation
	local    []queue.LocalTask // deliveries that this worker makes itself
	account  credit.Account
	wanting  []delivery.Endpoint // the endpoints that are enabled
	before   credit.Account      // as it was locked
	outcomes []request.Outcome
	finished []string         // the ids of the requests that have ended
	steps    [][]request.Step // of each request, all of them
	plans    []stepPlan       // of each request
	verdicts []verdict
	charges  []string
	parked   []usersync.Task
	records  map[string]colleague.Summary
}

func (st *settlement) run(ctx context.Context, decide func(int) verdict) error {
	if err := outbox.Finish(ctx, st.tx, st.claim); err != nil {
		return err
	}
	if err := st.endOrphans(ctx); err != nil || len(st.works) == 0 {
		return err
	}
	if err := user.Save(ctx, st.tx, st.changed); err != nil {
		return err
	}
	if err := event.Save(ctx, st.tx, st.organization.ID, st.events); err != nil {
		return err
	}
	if err := st.saveConsents(ctx); err != nil {
		return err
	}
	if err := st.planPlatforms(ctx); err != nil {
		return err
	}
	var err error
	if st.account, st.wanting, err = delivery.LockAccountWithEndpoints(ctx, st.tx, st.organization.ID); err != nil {
		return err
	}
	st.before = st.account
	for i, w := range st.works {
		st.decide(w, st.plans[i], decide(i))
	}
	if err := credit.Charge(ctx, st.tx, &st.account, st.charges); err != nil {
		return err
	}
	if err := colleague.Join(ctx, st.tx, st.organization.ID, st.newcomers()); err != nil {
		return err
	}
	if err := st.saveColleagues(ctx); err != nil {
		return err
	}
	finished, err := request.SaveOutcomes(ctx, st.tx, st.organization.ID, st.outcomes)
	if err != nil {
		return err
	}
	st.finished = append(st.finished, finished...)
	if err := outbox.Park(ctx, st.tx, st.parked...); err != nil {
		return err
	}
	messages, err := st.messages(ctx)
	if err != nil {
		return err
	}
	if st.account != st.before {
		if err := credit.Save(ctx, st.tx, st.account); err != nil {
			return err
		}
	}
	st.local, err = messages.EnqueueLocal(ctx, st.tx, st.slots)
	return err
}

// endOrphans ends the requests that were accepted while their user was erased:
// they belong to the task and cannot be loaded.
func (st *settlement) endOrphans(ctx context.Context) (err error) {
	if len(st.works) == len(st.asked) {
		return nil
	}
	st.finished, err = erasure.EndOrphans(ctx, st.tx, st.claim, st.asked)
	return err
}

// decide fixes the outcome of one request against the balance that is left.
func (st *settlement) decide(w request.Work, plan stepPlan, v verdict) {
	if plan.colleagues != nil {
		v = verdict{step: *plan.colleagues}
	}
	o := w.Outcome()
	o.StartedAt, o.FinishedAt = st.startedAt(w), st.account.Now
	switch {
	case !billable(w, v):
	case st.account.Balance > int64(len(st.charges)):
		st.charges = append(st.charges, w.ID)
		o.Charged = 1
	case st.account.Now.After(w.CreatedAt.Add(unpaidFor)):
		v = verdict{step: failedStep(w, usersync.CodeNoCredit, "No credits were added within 30 days.")}
	default:
		v = verdict{step: request.Step{Name: request.StepColleagues, Status: request.StepAwaitingCredits, Attempts: w.Run,
			Details: "Waiting for credits", ErrorCode: usersync.CodeNoCredit, ErrorMessage: "The balance has run out."}}
		task := Run.Task(usersync.DeriveID(usersync.PrefixTask, w.ID, "unpaid", w.TaskID), st.organization.ID, st.organization.ID, RunArgs{[]string{w.ID}})
		task.DueAt, task.Traceparent = w.CreatedAt.Add(unpaidFor), w.Traceparent
		st.parked = append(st.parked, task)
		o.NextTaskID = task.ID
	}
	v.step.Details = joined(v.step.Details, remarkOf(w))
	o.Found = len(v.found)
	o.Steps = append([]request.Step{v.step}, plan.planned...)
	all := slices.Concat(o.Steps, plan.kept)
	slices.SortFunc(all, func(a, b request.Step) int { return a.Position - b.Position })
	o.Status = request.StatusOf(all)
	st.steps = append(st.steps, all)
	st.outcomes = append(st.outcomes, o)
	st.verdicts = append(st.verdicts, v)
}

// saveColleagues stores the colleagues found and notes their ids in the steps.
func (st *settlement) saveColleagues(ctx context.Context) (err error) {
	var all []colleague.Found
	for i, w := range st.works {
		u := st.users[w.User.ID]
		for _, m := range st.verdicts[i].found {
			all = append(all, colleague.Found{
				UserID: u.ID, Candidate: m.Candidate, Score: m.Score, Reasons: m.Reasons,
				InviteLink: inviteLink(u.InviteLink, st.organization), RedirectionLink: st.organization.DefaultRedirectionLink,
			})
		}
	}
	st.records, err = colleague.SaveFound(ctx, st.tx, st.organization.ID, st.organization.Salt, all)
	if err != nil {
		return err
	}
	for i := range st.outcomes {
		step := &st.outcomes[i].Steps[0]
		for _, m := range st.verdicts[i].found {
			step.Found = append(step.Found, request.Match{ColleagueID: st.records[m.Email.Key()].ID, Score: m.Score, Reasons: m.Reasons})
		}
	}
	return nil
}

func inviteLink(own string, o tenant.Organization) string {
	if own != "" {
		return own
	}
	return o.DefaultInviteLink
}

// newcomers returns the e-mail keys of the users that these requests made, but for those
// who are gone already.
func (b *batch) newcomers() []string {
	var keys []string
	for _, w := range b.works {
		gone := w.Input.Removed != nil && *w.Input.Removed
		if w.User.ID != "" && !gone && w.User.MadeBy(w.Sequence) {
			keys = append(keys, w.User.Email.Key())
		}
	}
	return keys
}

// messages makes the webhook messages of what has happened.
func (st *settlement) messages(ctx context.Context) (*delivery.Messages, error) {
	messages := delivery.NewMessages(&st.account, st.wanting)
	if len(st.wanting) == 0 {
		return messages, nil
	}
	views, err := st.views(ctx)
	if err != nil {
		return nil, err
	}
	if err := request.AddMessages(messages, st.outcomes, func(i int) request.View { return views[i]() }); err != nil {
		return nil, err
	}
	return messages, st.tellBalance(messages)
}

// views shows the requests that are finished as GET /v1/requests/{id} will once
// this transaction is committed: from memory where this run did everything, else as
// they are stored.
func (st *settlement) views(ctx context.Context) ([]func() request.View, error) {
	out := make([]func() request.View, len(st.works))
	var stored []string
	for i, w := range st.works {
		if w.Fresh() {
			out[i] = func() request.View { return st.view(w, i) }
		} else {
			stored = append(stored, w.ID)
		}
	}
	if len(stored) == 0 {
		return out, nil
	}
	list, err := request.ViewsForMessages(ctx, st.tx, st.organization.ID, stored)
	for i, w := range st.works {
		for _, r := range list {
			if r.RequestID == w.ID {
				out[i] = func() request.View { return *r }
			}
		}
	}
	return out, err
}

// creditMessage says what the owner is told of a balance that fell: once when it
// reaches the threshold, once when it runs out. A balance that rose above in
// between can fall again.
func creditMessage(before, after, threshold int64) (delivery.MessageType, bool) {
	switch {
	case after == 0 && before > 0:
		return delivery.MessageCreditsExhausted, true
	case after <= threshold && before > threshold:
		return delivery.MessageCreditsLow, true
	}
	return "", false
}

// tellBalance adds the message on a balance that fell. Its cause is the last
// request that was charged.
func (st *settlement) tellBalance(messages *delivery.Messages) error {
	threshold := st.organization.Settings.LowCredit()
	t, fell := creditMessage(st.before.Balance, st.account.Balance, threshold)
	if !fell {
		return nil
	}
	last := st.charges[len(st.charges)-1]
	m := delivery.NewMessage{Message: delivery.Message{ID: usersync.DeriveID(usersync.PrefixMessage, last, string(t)), Type: t}}
	return messages.Add(m, struct {
		Balance   int64 `json:"balance"`
		Threshold int64 `json:"threshold"`
	}{st.account.Balance, threshold})
}

// view shows a request as GET /v1/requests/{id} will once this transaction
// is committed.
func (st *settlement) view(w request.Work, i int) request.View {
	o, u := st.outcomes[i], st.users[w.User.ID]
	r := request.View{
		RequestID: w.ID, Kind: w.Kind, Status: o.Status, UserID: u.ID, Email: w.Email, CreatedAt: usersync.Time{Time: w.CreatedAt},
		StartedAt: usersync.Time{Time: o.StartedAt},
		Credits:   request.CreditsView{Charged: o.Charged},
	}
	if o.Status.Final() {
		r.FinishedAt = usersync.Time{Time: o.FinishedAt}
	}
	for _, s := range st.steps[i] {
		switch {
		case s.Position == 0:
			s = o.Steps[0] // with the ids of the colleagues
		case s.Status == request.StepPending:
			s = s.AtRest(platform.SkipReason(connectionOf(st.targets, s).Status))
		}
		r.Steps = append(r.Steps, request.NewStepView(s))
	}
	if o.Steps[0].Status == request.StepSucceeded {
		r.Colleagues = &request.ColleaguesView{Found: len(o.Steps[0].Found), Items: []request.ColleagueView{}}
		for _, m := range st.verdicts[i].found {
			c := st.records[m.Email.Key()]
			r.Colleagues.Items = append(r.Colleagues.Items, request.ColleagueView{
				ID: c.ID, Name: c.Name, Email: c.Email, JobTitle: c.JobTitle, Score: m.Score, Reasons: m.Reasons,
			})
		}
	}
	return r
}
