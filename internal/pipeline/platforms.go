package pipeline

import (
	"context"

	"usersync/internal/platform"
	"usersync/internal/request"
	"usersync/internal/usersync"
)

// platformPlan says what a run does about the platform steps of one request.
type platformPlan struct {
	// colleagues is the colleagues step of an earlier run when it need not be
	// worked again.
	colleagues *request.Step
	// planned are the platform steps that this run writes, kept those it leaves.
	planned, kept []request.Step
}

// planPlatforms plans the platform steps of the batch: one for each connection
// of the organization the first time a request is worked, later only those that
// failed and are to be tried again. It writes the wishes, before the account is
// locked: a pusher locks its own task first and the account after it.
func (st *settlement) planPlatforms(ctx context.Context) error {
	earlier, err := st.earlier(ctx)
	if err != nil {
		return err
	}
	var wants, notes []platform.Want
	for _, w := range st.works {
		plan := platformPlan{}
		if q := earlier[w.ID]; q != nil {
			plan = replan(w, q.Steps, st.targets)
		} else {
			for i, c := range st.targets {
				plan.planned = append(plan.planned, platformStep(i+1, c))
			}
		}
		st.plans = append(st.plans, plan)
		for _, s := range plan.planned {
			want := platform.Want{ConnectionID: s.ConnectionID, UserID: w.User.ID, RequestID: w.ID, Position: s.Position,
				Mode: usersync.PushState, Version: st.version(w.User.ID), Rank: platform.RankOrdinary}
			switch {
			case s.Status == request.StepPending:
				wants = append(wants, want)
			case resumable(s):
				notes = append(notes, want)
			}
		}
	}
	if err := platform.NotePushes(ctx, st.tx, st.organization.ID, notes); err != nil {
		return err
	}
	return platform.WantPushes(ctx, st.tx, st.organization.ID, wants)
}

// version is the one that a user has once this transaction is committed.
func (st *settlement) version(user string) int64 {
	if st.altered[user] {
		return st.users[user].Version + 1
	}
	return st.users[user].Version
}

// earlier locks and reads the requests of which a step was worked before.
func (st *settlement) earlier(ctx context.Context) (map[string]*request.Locked, error) {
	var ids []string
	for _, w := range st.works {
		if !w.Fresh() {
			ids = append(ids, w.ID)
		}
	}
	if len(ids) == 0 {
		return nil, nil
	}
	return request.Lock(ctx, st.tx, st.organization.ID, ids)
}

// replan says what is left to do of a request that was worked before: after a
// retry what failed, after a wait for credits the colleagues.
func replan(w request.Work, steps []request.Step, targets []platform.Connection) (plan platformPlan) {
	again := w.Status == request.Queued
	for _, s := range steps {
		switch {
		case s.Name == request.StepColleagues:
			if s.Status != request.StepFailed && s.Status != request.StepAwaitingCredits {
				plan.colleagues = &s
			}
		case again && s.Status == request.StepFailed:
			plan.planned = append(plan.planned, platformStep(s.Position, target(targets, s)))
		default:
			plan.kept = append(plan.kept, s)
		}
	}
	return plan
}

// target is the connection of a step, a deleted one when there is none any more.
func target(targets []platform.Connection, s request.Step) platform.Connection {
	for _, c := range targets {
		if c.ID == s.ConnectionID {
			return c
		}
	}
	return platform.Connection{ID: s.ConnectionID, Platform: s.Platform, Status: platform.ConnectionDeleted}
}
