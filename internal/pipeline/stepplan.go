package pipeline

import (
	"context"
	"slices"

	"usersync/internal/platform"
	"usersync/internal/request"
	"usersync/internal/store"
	"usersync/internal/usersync"
)

// stepPlan says what a run does about the steps of one request.
type stepPlan struct {
	// colleagues is the colleagues step of an earlier run when it need not be
	// worked again.
	colleagues *request.Step
	// planned are the platform steps that this run writes, kept those it leaves.
	planned, kept []request.Step
}

// platforms returns all platform steps, in their order.
func (p stepPlan) platforms() []request.Step {
	all := slices.Concat(p.planned, p.kept)
	slices.SortFunc(all, func(a, b request.Step) int { return a.Position - b.Position })
	return all
}

// planSteps plans the platform steps of a request. The first run, which finds no
// earlier steps, makes one for each connection, numbered from first. A further one
// makes those anew that failed, and those that wait for a connection which rests.
func planSteps(earlier []request.Step, connections []platform.Connection, first int, mode usersync.PushMode) (plan stepPlan) {
	if len(earlier) == 0 {
		for i, c := range connections {
			plan.planned = append(plan.planned, platformStep(first+i, c, mode))
		}
		return plan
	}
	for _, s := range earlier {
		conn := connectionOf(connections, s)
		if s.Name == request.StepPlatform && (s.Status == request.StepFailed || waitsFor(s, conn)) {
			plan.planned = append(plan.planned, platformStep(s.Position, conn, mode))
		} else {
			plan.kept = append(plan.kept, s)
		}
	}
	return plan
}

// waitsFor reports whether a step waits for a connection that rests.
func waitsFor(s request.Step, conn platform.Connection) bool {
	return (s.Status == request.StepPending || s.Status == request.StepRetrying) && conn.Rests()
}

// planAgain plans what is left to do of a user-sync that was worked before: after a
// retry what failed, after a wait for credits the colleagues alone.
func planAgain(w request.Work, earlier []request.Step, connections []platform.Connection) (plan stepPlan) {
	var platforms []request.Step
	for _, s := range earlier {
		switch {
		case s.Name != request.StepColleagues:
			platforms = append(platforms, s)
		case s.Status != request.StepFailed && s.Status != request.StepAwaitingCredits:
			plan.colleagues = &s
		}
	}
	if w.Status != request.Queued || len(platforms) == 0 {
		plan.kept = platforms
		return plan
	}
	again := planSteps(platforms, connections, 0, usersync.PushState)
	plan.planned, plan.kept = again.planned, again.kept
	return plan
}

// connectionOf is the connection of a step, a deleted one when there is none any more.
func connectionOf(connections []platform.Connection, s request.Step) platform.Connection {
	for _, c := range connections {
		if c.ID == s.ConnectionID {
			return c
		}
	}
	return platform.Connection{ID: s.ConnectionID, Platform: s.Platform, Status: platform.ConnectionDeleted}
}

// platformStep is the step of a connection before anything was pushed. It is skipped
// where the connection is gone, and that of a preview where the connection rests.
func platformStep(position int, conn platform.Connection, mode usersync.PushMode) request.Step {
	step := request.Step{
		Position: position, Name: request.StepPlatform, Platform: conn.Platform, ConnectionID: conn.ID, Status: request.StepPending,
	}
	reason := platform.SkipReason(conn.Status)
	if reason != "" && (mode == usersync.PushPreview || !conn.Rests()) {
		step.Status, step.Reason, step.Details = request.StepSkipped, reason, platform.SkipSentence(reason)
	}
	return step
}

// wishes are the pushes that steps wait for: now those of connections that are active,
// later those of connections that rest.
type wishes struct{ now, later []platform.Want }

// add adds the pushes that the planned steps wait for. base says for whom they are, in
// which version and how.
func (w *wishes) add(steps []request.Step, connections []platform.Connection, base platform.Want) {
	for _, s := range steps {
		want := base
		want.ConnectionID, want.Position = s.ConnectionID, s.Position
		switch {
		case s.Status != request.StepPending:
		case connectionOf(connections, s).Rests():
			w.later = append(w.later, want)
		default:
			w.now = append(w.now, want)
		}
	}
}

// save writes the wishes. It returns store.ErrStale when a connection does not rest any
// more.
func (w wishes) save(ctx context.Context, tx *store.Tx, organization string) error {
	if err := platform.AwaitPushes(ctx, tx, organization, w.later); err != nil {
		return err
	}
	return platform.WantPushes(ctx, tx, organization, w.now)
}
