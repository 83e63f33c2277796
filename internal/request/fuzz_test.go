package request_test

import (
	"slices"
	"testing"

	"usersync/internal/request"
)

// stepStatuses are all that a step can have.
var stepStatuses = []request.StepStatus{
	request.StepPending, request.StepRetrying, request.StepAwaitingCredits, request.StepSucceeded,
	request.StepSynced, request.StepUnchanged, request.StepSkipped, request.StepFailed,
}

func stepsOf(code []byte) (steps []request.Step) {
	for _, c := range code[:min(len(code), 64)] {
		steps = append(steps, request.Step{Status: stepStatuses[int(c)%len(stepStatuses)]})
	}
	return steps
}

// FuzzStatusOf checks the folding of any steps: it always gives a status that a
// request may have, neither order nor skipped steps matter, one more failure
// never makes it better, one more success never worse, and it is final exactly
// when no step waits.
func FuzzStatusOf(f *testing.F) {
	for _, seed := range [][]byte{{}, {0}, {3, 7}, {7, 7}, {6}, {2, 3, 7}, {1, 2}, {3, 4, 5, 6}} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, code []byte) {
		steps := stepsOf(code)
		status := request.StatusOf(steps)
		with := func(s request.StepStatus) request.Status {
			return request.StatusOf(append(slices.Clone(steps), request.Step{Status: s}))
		}
		waits := slices.ContainsFunc(steps, func(s request.Step) bool {
			return s.Status == request.StepPending || s.Status == request.StepRetrying || s.Status == request.StepAwaitingCredits
		})
		backwards := slices.Clone(steps)
		slices.Reverse(backwards)
		switch {
		case !status.Valid():
			t.Fatalf("%v has the status %q", steps, status)
		case status.Final() == waits:
			t.Fatalf("%v is %s", steps, status)
		case request.StatusOf(backwards) != status, with(request.StepSkipped) != status:
			t.Fatalf("%v is %s, but not in another order or with a skipped step", steps, status)
		case goodness(with(request.StepFailed)) > goodness(status):
			t.Fatalf("%v is %s, with one failure more %s", steps, status, with(request.StepFailed))
		case goodness(with(request.StepSucceeded)) < goodness(status):
			t.Fatalf("%v is %s, with one success more %s", steps, status, with(request.StepSucceeded))
		case with(request.StepPending) != request.Processing:
			t.Fatalf("%v and a pending step are %s", steps, with(request.StepPending))
		}
		// Whatever is worked now may end like this.
		if status != request.Processing && !request.Processing.CanBecome(status) {
			t.Fatalf("processing cannot become %s", status)
		}
	})
}

// goodness ranks the final statuses; those that wait are all the same.
func goodness(s request.Status) int {
	return slices.Index([]request.Status{request.Failed, request.PartiallySucceeded, request.Succeeded}, s)
}

func TestTransitionsNameEveryStatusAndNoOther(t *testing.T) {
	t.Parallel()
	if len(request.Transitions) != len(request.Statuses) {
		t.Errorf("%d statuses, %d in the table", len(request.Statuses), len(request.Transitions))
	}
	for _, from := range request.Statuses {
		next, ok := request.Transitions[from]
		if !ok {
			t.Errorf("%s is not in the table", from)
		}
		for _, to := range next {
			if !to.Valid() {
				t.Errorf("%s may become %q", from, to)
			}
			// What is over goes on only when somebody asks for it, from the start.
			if from.Final() && to != request.Queued {
				t.Errorf("%s may become %s", from, to)
			}
		}
		if from.Final() != (from != request.Queued && from != request.Processing && from != request.AwaitingCredits) {
			t.Errorf("%s is final: %v", from, from.Final())
		}
	}
}
