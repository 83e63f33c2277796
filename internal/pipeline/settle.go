package pipeline

import (
	"context"
	"fmt"
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
	err := s.Store.Tx(ctx, func(tx *store.Tx) error {
		st := &settlement{batch: b, tx: tx}
		if err := st.run(ctx, decide); err != nil {
			return err
		}
		outcomes = st.outcomes
		return nil
	})
	if err != nil {
		return err
	}
	s.publish(ctx, outcomes)
	return nil
}

// settlement is the work of one settling transaction.
type settlement struct {
	*batch
	tx       *store.Tx
	account  store.Account
	outcomes []store.Outcome
	verdicts []verdict
	charges  []string
	parked   []usersync.Task
	records  map[string]store.SavedColleague
}

func (st *settlement) run(ctx context.Context, decide func(int) verdict) error {
	if err := st.tx.Finish(ctx, st.claim); err != nil {
		return err
	}
	if err := st.tx.UpdateUsers(ctx, st.changed); err != nil {
		return err
	}
	var err error
	if st.account, err = st.tx.LockAccount(ctx, st.organization.ID); err != nil {
		return err
	}
	before := st.account
	for i, w := range st.works {
		st.decide(w, decide(i))
	}
	if err := st.tx.Charge(ctx, &st.account, st.charges); err != nil {
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
	if err := st.notify(ctx); err != nil {
		return err
	}
	if st.account == before {
		return nil
	}
	return st.tx.SaveAccount(ctx, st.account)
}

// decide fixes the outcome of one request against the balance that is left.
func (st *settlement) decide(w store.Work, v verdict) {
	o := store.Outcome{RequestID: w.ID, Charged: w.Charged, StartedAt: st.claim.StartedAt, FinishedAt: st.account.Now}
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
		task := Run.Task(usersync.DeriveID(usersync.PrefixTask, w.ID, "unpaid", st.claim.TaskID), st.organization.ID, st.organization.ID, RunArgs{[]string{w.ID}})
		task.DueAt, task.Traceparent = w.CreatedAt.Add(unpaidFor), w.Traceparent
		st.parked = append(st.parked, task)
		o.TaskID = task.ID
	}
	o.Steps = []usersync.Step{v.step}
	o.Status = usersync.StatusOf(o.Steps)
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

// notify stores the webhook messages of what has happened.
func (st *settlement) notify(ctx context.Context) error {
	endpoints, err := st.tx.Subscriptions(ctx, st.organization.ID)
	if err != nil || len(endpoints) == 0 {
		return err
	}
	var messages []store.NewMessage
	for i, w := range st.works {
		for _, t := range messageTypes(st.outcomes[i]) {
			m, err := st.message(t, w, i, endpoints)
			if err != nil {
				return err
			}
			if len(m.Endpoints) > 0 {
				messages = append(messages, m)
			}
		}
	}
	return delivery.Enqueue(ctx, st.tx, st.organization.ID, messages)
}

// messageTypes says which messages an outcome leads to.
func messageTypes(o store.Outcome) []usersync.MessageType {
	var types []usersync.MessageType
	if len(o.Steps[0].Found) > 0 {
		types = append(types, usersync.MessageColleaguesFound)
	}
	switch o.Status {
	case usersync.RequestSucceeded, usersync.RequestPartiallySucceeded:
		types = append(types, usersync.MessageCompleted)
	case usersync.RequestFailed:
		types = append(types, usersync.MessageFailed)
	}
	return types
}

// message renders one message for the endpoints that want it. The organization's
// sequence rises only with messages that go somewhere.
func (st *settlement) message(t usersync.MessageType, w store.Work, i int, endpoints []usersync.Endpoint) (store.NewMessage, error) {
	m := store.NewMessage{Traceparent: w.Traceparent}
	for _, e := range endpoints {
		if e.Wants(t) {
			m.Endpoints = append(m.Endpoints, e.ID)
		}
	}
	if len(m.Endpoints) == 0 {
		return m, nil
	}
	st.account.Sequence++
	body, err := delivery.Body(t, st.account.Now, st.account.Sequence, st.report(w, i))
	if err != nil {
		return m, fmt.Errorf("render %s of %s: %w", t, w.ID, err)
	}
	m.Message = usersync.Message{ID: store.RequestMessageID(w.ID, w.Run, t), Type: t, RequestID: w.ID, Sequence: st.account.Sequence, Body: body}
	return m, nil
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
	for _, s := range o.Steps {
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
