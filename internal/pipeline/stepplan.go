package pipeline

import (
	"slices"

	"usersync/internal/platform"
	"usersync/internal/request"
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
// makes those anew that failed.
func planSteps(earlier []request.Step, connections []platform.Connection, first int, mode usersync.PushMode) (plan stepPlan) {
	if len(earlier) == 0 {
		for i, c := range connections {
			plan.planned = append(plan.planned, platformStep(first+i, c, mode))
		}
		return plan
	}
	for _, s := range earlier {
		if s.Name == request.StepPlatform && s.Status == request.StepFailed {
			plan.planned = append(plan.planned, platformStep(s.Position, connectionOf(connections, s), mode))
		} else {
			plan.kept = append(plan.kept, s)
		}
	}
	return plan
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

// platformStep is the step of a connection before anything was pushed.
func platformStep(position int, conn platform.Connection, mode usersync.PushMode) request.Step {
	step := request.Step{
		Position: position, Name: request.StepPlatform, Platform: conn.Platform, ConnectionID: conn.ID, Status: request.StepPending,
	}
	if reason := platform.SkipReason(conn.Status); reason != "" {
		step.Status, step.Reason, step.Details = request.StepSkipped, reason, platform.SkipSentence(reason, mode)
	}
	return step
}

// wantsOf returns the pushes that the pending steps wait for, and what is to be
// remembered for connections that are paused or disconnected; a preview leaves
// nothing to remember. base says for whom they are, in which version and how.
func wantsOf(steps []request.Step, base platform.Want) (wants, notes []platform.Want) {
	for _, s := range steps {
		want := base
		want.ConnectionID, want.Position = s.ConnectionID, s.Position
		switch {
		case s.Status == request.StepPending:
			wants = append(wants, want)
		case resumable(s) && base.Mode != usersync.PushPreview:
			notes = append(notes, want)
		}
	}
	return wants, notes
}

// resumable reports whether a step was skipped for now: the user is pushed when
// the connection is active again.
func resumable(s request.Step) bool {
	return s.Reason == platform.ReasonConnectionPaused || s.Reason == platform.ReasonConnectionDisconnected
}
