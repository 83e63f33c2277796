package request

import "slices"

// Status says how far a request has come.
type Status string

// The statuses of a request, see Transitions for how they follow each other.
const (
	Queued             Status = "queued"
	Processing         Status = "processing"
	Succeeded          Status = "succeeded"
	PartiallySucceeded Status = "partially_succeeded"
	Failed             Status = "failed"
	AwaitingCredits    Status = "awaiting_credits"
)

// Statuses lists every status in the order of a request's life.
var Statuses = []Status{
	Queued, Processing, AwaitingCredits,
	Succeeded, PartiallySucceeded, Failed,
}

// Transitions is the whole state machine of a request: what each status may
// become. docs/state-machine.md is printed from it.
var Transitions = map[Status][]Status{
	Queued:             {Processing, Succeeded, PartiallySucceeded, Failed, AwaitingCredits},
	Processing:         {Queued, Succeeded, PartiallySucceeded, Failed, AwaitingCredits},
	AwaitingCredits:    {AwaitingCredits, Succeeded, PartiallySucceeded, Failed},
	PartiallySucceeded: {Queued},
	Failed:             {Queued},
	Succeeded:          {},
}

// CanBecome reports whether the state machine allows to after s.
func (s Status) CanBecome(to Status) bool { return slices.Contains(Transitions[s], to) }

// Final reports whether nothing happens to the request any more unless
// somebody asks for it.
func (s Status) Final() bool {
	return s == Succeeded || s == PartiallySucceeded || s == Failed
}

// Valid reports whether s is one of the statuses.
func (s Status) Valid() bool { return slices.Contains(Statuses, s) }

// StatusOf folds the steps of a request into its status: waiting while any
// step waits, failed when every step that did something failed, partly
// succeeded when some did. A skipped step is no failure.
func StatusOf(steps []Step) Status {
	var done, failed, moving, unpaid int
	for _, s := range steps {
		switch s.Status {
		case StepPending, StepRetrying:
			moving++
		case StepAwaitingCredits:
			unpaid++
		case StepFailed:
			failed++
		case StepSkipped: // neither good nor bad
		default:
			done++
		}
	}
	switch {
	case moving > 0:
		return Processing
	case unpaid > 0:
		return AwaitingCredits
	case failed == 0:
		return Succeeded
	case done > 0:
		return PartiallySucceeded
	}
	return Failed
}
