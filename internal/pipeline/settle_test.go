package pipeline

import (
	"testing"

	"usersync/internal/colleague"
	"usersync/internal/request"
	"usersync/internal/tenant"
	"usersync/internal/usersync"
)

func TestDetailsNameTheSourcesThatDidNotAnswer(t *testing.T) {
	t.Parallel()
	unavailable := colleague.Unanswered{Source: tenant.SourceHunter, Err: usersync.Errorf(usersync.CodeRateLimited, "Later.")}
	for want, r := range map[string]colleague.Result{
		"No colleagues found": {},
		"1 colleague found":   {Found: make([]colleague.Match, 1)},
		"2 colleagues found; hunter did not answer (rate_limited)": {Found: make([]colleague.Match, 2), Unanswered: []colleague.Unanswered{unavailable}},
	} {
		v := found(request.Work{}, r)
		if v.step.Details != want || v.step.Status != request.StepSucceeded {
			t.Errorf("%s: %q, want %q", v.step.Status, v.step.Details, want)
		}
	}
}
