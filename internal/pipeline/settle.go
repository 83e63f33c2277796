package pipeline

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"usersync/internal/colleague"
	"usersync/internal/delivery"
	"usersync/internal/store"
	"usersync/internal/usersync"
)

// unpaidFor is how long a request waits for credits before it fails.
const unpaidFor = 30 * 24 * time.Hour

// verdict is what became of the colleagues step of one request, before it is
// known whether there is a credit to pay for it.
type verdict struct {
	step  usersync.Step
	found []colleague.Match
}

// found turns the result of a search into a step.
func found(w store.Work, r colleague.Result) verdict {
	step := usersync.Step{Name: usersync.StepColleagues, Attempts: w.Run}
	switch {
	case r.Skipped != "":
		step.Status, step.Reason = usersync.StepSkipped, r.Skipped
	default:
		step.Status, step.Details = usersync.StepSucceeded, countSentence(len(r.Found))+withoutSources(r.Unanswered)
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

func failedStep(w store.Work, code usersync.Code, message string) usersync.Step {
	return usersync.Step{Name: usersync.StepColleagues, Status: usersync.StepFailed, Attempts: w.Run, ErrorCode: code, ErrorMessage: message}
}

// billable is the rule of the contract: a credit is billed only when more than
// one colleague was found, and a request bills at most one, ever.
func billable(w store.Work, v verdict) bool { return len(v.found) > 1 && w.Charged == 0 }

// settle writes everything a batch ends in, in one transaction under the
// claim: users, colleague records, ledger entries, steps, statuses, messages
// and the tasks that go on from there. The locked balance decides who is paid
// for, oldest first; who is not waits and is told nothing.
func (s *Service) settle(ctx context.Context, b *batch, decide func(int) verdict) error {
	var outcomes []store.Outcome
	direct := delivery.Direct{Place: s.Place}
	defer direct.Free()
	err := s.Store.Tx(ctx, func(tx *store.Tx) error {
		direct.Begin()
		st := &settlement{batch: b, tx: tx, direct: &direct}
		if err := st.run(ctx, decide); err != nil {
			return err
		}
		outcomes = slices.Concat(st.outcomes, st.orphans)
		return nil
	})
	if err != nil {
		return err
	}
	direct.Work()
	s.publish(ctx, outcomes)
	return nil
}

// settlement is the work of one settling transaction.
type settlement struct {
	*batch
	tx       *store.Tx
	direct   *delivery.Direct
	account  store.Account
	wanting  []usersync.Endpoint // the endpoints that are enabled
	before   store.Account       // as it was locked
	outcomes []store.Outcome
	orphans  []store.Outcome
	steps    [][]usersync.Step // of each request, all of them
	plans    []platformPlan    // of each request
	verdicts []verdict
	charges  []string
	parked   []usersync.Task
	records  map[string]store.SavedColleague
}

func (st *settlement) run(ctx context.Context, decide func(int) verdict) error {
	if err := st.tx.Finish(ctx, st.claim); err != nil {
		return err
	}
	if err := st.endOrphans(ctx); err != nil || len(st.works) == 0 {
		return err
	}
	if err := st.tx.UpdateUsers(ctx, st.changed); err != nil {
		return err
	}
	if err := st.tx.SaveEvents(ctx, st.organization.ID, st.events); err != nil {
		return err
	}
	if err := st.planPlatforms(ctx); err != nil {
		return err
	}
	var err error
	if st.account, st.wanting, err = st.tx.OpenAccount(ctx, st.organization.ID); err != nil {
		return err
	}
	st.before = st.account
	for i, w := range st.works {
		st.decide(w, st.plans[i], decide(i))
	}
	if err := st.tx.Charge(ctx, &st.account, st.charges); err != nil {
		return err
	}
	if err := st.tx.JoinColleagues(ctx, st.organization.ID, st.newcomers()); err != nil {
		return err
	}
	if err := st.saveColleagues(ctx); err != nil {
		return err
	}
	if err := st.tx.SaveOutcomes(ctx, st.claim, st.outcomes); err != nil {
		return err
	}
	if err := st.tx.Park(ctx, st.parked...); err != nil {
		return err
	}
	messages, err := st.messages(ctx)
	if err != nil {
		return err
	}
	if st.account != st.before {
		if err := st.tx.SaveAccount(ctx, st.account); err != nil {
			return err
		}
	}
	return st.direct.Enqueue(ctx, st.tx, st.organization.ID, messages)
}

// endOrphans ends the requests that were accepted while their user was erased:
// they belong to the task and cannot be loaded.
func (st *settlement) endOrphans(ctx context.Context) error {
	if len(st.works) == len(st.asked) {
		return nil
	}
	ended, err := st.tx.EndOrphans(ctx, st.claim, st.asked)
	for _, id := range ended {
		st.orphans = append(st.orphans, store.Outcome{RequestID: id, Status: usersync.RequestFailed})
	}
	return err
}

// decide fixes the outcome of one request against the balance that is left.
func (st *settlement) decide(w store.Work, plan platformPlan, v verdict) {
	if plan.colleagues != nil {
		v = verdict{step: *plan.colleagues}
	}
	o := store.Outcome{RequestID: w.ID, Charged: w.Charged, StartedAt: st.startedAt(w), FinishedAt: st.account.Now}
	switch {
	case !billable(w, v):
	case st.account.Balance > int64(len(st.charges)):
		st.charges = append(st.charges, w.ID)
		o.Charged = 1
	case st.account.Now.After(w.CreatedAt.Add(unpaidFor)):
		v = verdict{step: failedStep(w, usersync.CodeNoCredit, "No credits were added within 30 days.")}
	default:
		v = verdict{step: usersync.Step{Name: usersync.StepColleagues, Status: usersync.StepAwaitingCredits, Attempts: w.Run,
			Details: "Waiting for credits", ErrorCode: usersync.CodeNoCredit, ErrorMessage: "The balance has run out."}}
		task := Run.Task(usersync.DeriveID(usersync.PrefixTask, w.ID, "unpaid", w.TaskID), st.organization.ID, st.organization.ID, RunArgs{[]string{w.ID}})
		task.DueAt, task.Traceparent = w.CreatedAt.Add(unpaidFor), w.Traceparent
		st.parked = append(st.parked, task)
		o.TaskID = task.ID
	}
	o.Steps = append([]usersync.Step{v.step}, plan.planned...)
	all := slices.Concat(o.Steps, plan.kept)
	slices.SortFunc(all, func(a, b usersync.Step) int { return a.Position - b.Position })
	o.Status = usersync.StatusOf(all)
	st.steps = append(st.steps, all)
	st.outcomes = append(st.outcomes, o)
	st.verdicts = append(st.verdicts, v)
}

// saveColleagues stores the colleagues found and notes their ids in the steps.
func (st *settlement) saveColleagues(ctx context.Context) (err error) {
	var all []store.FoundColleague
	for i, w := range st.works {
		u := st.users[w.User.ID]
		for _, m := range st.verdicts[i].found {
			all = append(all, store.FoundColleague{
				UserID: u.ID, Candidate: m.Candidate, Score: m.Score, Reasons: m.Reasons,
				InviteLink: inviteLink(u.InviteLink, st.organization), RedirectionLink: st.organization.DefaultRedirectionLink,
			})
		}
	}
	st.records, err = st.tx.SaveColleagues(ctx, st.organization.ID, st.organization.Salt, all)
	if err != nil {
		return err
	}
	for i := range st.outcomes {
		step := &st.outcomes[i].Steps[0]
		for _, m := range st.verdicts[i].found {
			step.Found = append(step.Found, usersync.Match{ColleagueID: st.records[m.Email.Key()].ID, Score: m.Score, Reasons: m.Reasons})
		}
	}
	return nil
}

func inviteLink(own string, o usersync.Organization) string {
	if own != "" {
		return own
	}
	return o.DefaultInviteLink
}

// newcomers returns the e-mail keys of the users that these requests made.
func (st *settlement) newcomers() []string {
	var keys []string
	for _, w := range st.works {
		if w.User.MadeBy(w.Sequence) {
			keys = append(keys, w.User.Email.Key())
		}
	}
	return keys
}

// messages renders the webhook messages of what has happened.
func (st *settlement) messages(ctx context.Context) (messages []store.NewMessage, err error) {
	endpoints := st.wanting
	if len(endpoints) == 0 {
		return nil, nil
	}
	reports, err := st.reports(ctx)
	if err != nil {
		return nil, err
	}
	for i, w := range st.works {
		for _, t := range messageTypes(st.outcomes[i].Status, len(st.verdicts[i].found)) {
			m, err := st.message(t, w, reports[i], endpoints)
			if err != nil {
				return nil, err
			}
			if len(m.Endpoints) > 0 {
				messages = append(messages, m)
			}
		}
	}
	if t, ok := creditMessage(st.before.Balance, st.account.Balance, st.organization.Settings.LowCredit()); ok {
		m, err := st.tellBalance(t, endpoints)
		if err != nil {
			return nil, err
		}
		if len(m.Endpoints) > 0 {
			messages = append(messages, m)
		}
	}
	return messages, nil
}

// reports shows the requests that are finished as GET /v1/requests/{id} will once
// this transaction is committed: from what is at hand where this run did
// everything, else as they are stored.
func (st *settlement) reports(ctx context.Context) ([]func() usersync.Report, error) {
	out := make([]func() usersync.Report, len(st.works))
	var stored []string
	for i, w := range st.works {
		if w.Fresh() {
			out[i] = func() usersync.Report { return st.report(w, i) }
		} else {
			stored = append(stored, w.ID)
		}
	}
	if len(stored) == 0 {
		return out, nil
	}
	list, err := told(ctx, st.tx, st.organization.ID, stored)
	for i, w := range st.works {
		for _, r := range list {
			if r.RequestID == w.ID {
				out[i] = func() usersync.Report { return *r }
			}
		}
	}
	return out, err
}

// told returns stored requests as webhooks tell of them.
func told(ctx context.Context, tx *store.Tx, organization string, ids []string) ([]*usersync.Report, error) {
	list, err := tx.Reports(ctx, organization, ids)
	for _, r := range list {
		r.Webhooks = nil
	}
	return list, err
}

// creditMessage says what the owner is told of a balance that fell: once when it
// reaches the threshold, once when it runs out. A balance that rose above in
// between can fall again.
func creditMessage(before, after, threshold int64) (usersync.MessageType, bool) {
	switch {
	case after == 0 && before > 0:
		return usersync.MessageCreditsExhausted, true
	case after <= threshold && before > threshold:
		return usersync.MessageCreditsLow, true
	}
	return "", false
}

// tellBalance renders the message on a balance that fell. Its cause is the last
// request that was charged.
func (st *settlement) tellBalance(t usersync.MessageType, endpoints []usersync.Endpoint) (store.NewMessage, error) {
	last := st.charges[len(st.charges)-1]
	balance := struct {
		Balance   int64 `json:"balance"`
		Threshold int64 `json:"threshold"`
	}{st.account.Balance, st.organization.Settings.LowCredit()}
	m := store.NewMessage{Message: usersync.Message{ID: usersync.DeriveID(usersync.PrefixMessage, last, string(t)), Type: t}}
	err := st.address(&m, endpoints, balance)
	return m, err
}

func (st *settlement) address(m *store.NewMessage, endpoints []usersync.Endpoint, data any) error {
	return address(&st.account, m, endpoints, data)
}

// address adds to a message the endpoints that want it and renders it. The
// organization's sequence rises only with messages that go somewhere.
func address(account *store.Account, m *store.NewMessage, endpoints []usersync.Endpoint, data any) (err error) {
	for _, e := range endpoints {
		if e.Wants(m.Type) {
			m.Endpoints = append(m.Endpoints, e.ID)
		}
	}
	if len(m.Endpoints) == 0 {
		return nil
	}
	account.Sequence++
	m.Sequence = account.Sequence
	m.Body, err = delivery.Body(m.Type, account.Now, m.Sequence, data)
	return err
}

// messageTypes says which messages an outcome leads to.
func messageTypes(status usersync.RequestStatus, found int) []usersync.MessageType {
	var types []usersync.MessageType
	if found > 0 {
		types = append(types, usersync.MessageColleaguesFound)
	}
	switch status {
	case usersync.RequestSucceeded, usersync.RequestPartiallySucceeded:
		types = append(types, usersync.MessageCompleted)
	case usersync.RequestFailed:
		types = append(types, usersync.MessageFailed)
	}
	return types
}

// message renders one message about a request for the endpoints that want it.
func (st *settlement) message(t usersync.MessageType, w store.Work, report func() usersync.Report, endpoints []usersync.Endpoint) (store.NewMessage, error) {
	m := store.NewMessage{Traceparent: w.Traceparent, Message: usersync.Message{ID: store.RequestMessageID(w.ID, w.Run, t), Type: t, RequestID: w.ID}}
	if !wanted(t, endpoints) {
		return m, nil
	}
	err := st.address(&m, endpoints, report())
	return m, err
}

// wanted saves the report of a message that nobody gets.
func wanted(t usersync.MessageType, endpoints []usersync.Endpoint) bool {
	return slices.ContainsFunc(endpoints, func(e usersync.Endpoint) bool { return e.Wants(t) })
}

// report shows a request as GET /v1/requests/{id} will once this transaction
// is committed.
func (st *settlement) report(w store.Work, i int) usersync.Report {
	o, u := st.outcomes[i], st.users[w.User.ID]
	r := usersync.Report{
		RequestID: w.ID, Kind: w.Kind, Status: o.Status, UserID: u.ID, Email: w.Email, CreatedAt: usersync.Time{Time: w.CreatedAt},
		StartedAt: usersync.Time{Time: o.StartedAt}, FinishedAt: usersync.Time{Time: o.FinishedAt},
		Credits: usersync.ReportCredits{Charged: o.Charged},
	}
	for _, s := range st.steps[i] {
		if s.Position == 0 {
			s = o.Steps[0] // with the ids of the colleagues
		}
		r.Steps = append(r.Steps, usersync.NewReportStep(s))
	}
	if o.Steps[0].Status == usersync.StepSucceeded {
		r.Colleagues = &usersync.ReportColleagues{Found: len(o.Steps[0].Found), Items: []usersync.ReportColleague{}}
		for _, m := range st.verdicts[i].found {
			c := st.records[m.Email.Key()]
			r.Colleagues.Items = append(r.Colleagues.Items, usersync.ReportColleague{
				ID: c.ID, Name: c.Name, Email: c.Email, JobTitle: c.JobTitle, Score: m.Score, Reasons: m.Reasons,
			})
		}
	}
	return r
}
