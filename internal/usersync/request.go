package usersync

import "slices"

// RequestKind says what a request asks for.
type RequestKind string

// The kinds of requests.
const (
	KindUserSync RequestKind = "user-sync"
	// KindPlatformSync pushes one known user to the platforms, now.
	KindPlatformSync RequestKind = "platform-sync"
	// KindPlatformBulk pushes many known users to one connection.
	KindPlatformBulk RequestKind = "platform-bulk"
)

// RequestKinds lists every kind.
var RequestKinds = []RequestKind{KindUserSync, KindPlatformSync, KindPlatformBulk}

// Paid reports whether requests of this kind need credits.
func (k RequestKind) Paid() bool { return k == KindUserSync }

// Valid reports whether k is one of the kinds.
func (k RequestKind) Valid() bool { return slices.Contains(RequestKinds, k) }

// RequestStatus says how far a request has come.
type RequestStatus string

// The statuses of a request, see Transitions for how they follow each other.
const (
	RequestQueued             RequestStatus = "queued"
	RequestProcessing         RequestStatus = "processing"
	RequestSucceeded          RequestStatus = "succeeded"
	RequestPartiallySucceeded RequestStatus = "partially_succeeded"
	RequestFailed             RequestStatus = "failed"
	RequestAwaitingCredits    RequestStatus = "awaiting_credits"
)

// RequestStatuses lists every status in the order of a request's life.
var RequestStatuses = []RequestStatus{
	RequestQueued, RequestProcessing, RequestAwaitingCredits,
	RequestSucceeded, RequestPartiallySucceeded, RequestFailed,
}

// Transitions is the whole state machine of a request: what each status may
// become. docs/state-machine.md is printed from it.
var Transitions = map[RequestStatus][]RequestStatus{
	RequestQueued:             {RequestProcessing, RequestSucceeded, RequestPartiallySucceeded, RequestFailed, RequestAwaitingCredits},
	RequestProcessing:         {RequestQueued, RequestSucceeded, RequestPartiallySucceeded, RequestFailed, RequestAwaitingCredits},
	RequestAwaitingCredits:    {RequestAwaitingCredits, RequestSucceeded, RequestPartiallySucceeded, RequestFailed},
	RequestPartiallySucceeded: {RequestQueued},
	RequestFailed:             {RequestQueued},
	RequestSucceeded:          {},
}

// CanBecome reports whether the state machine allows to after s.
func (s RequestStatus) CanBecome(to RequestStatus) bool { return slices.Contains(Transitions[s], to) }

// Final reports whether nothing happens to the request any more unless
// somebody asks for it.
func (s RequestStatus) Final() bool {
	return s == RequestSucceeded || s == RequestPartiallySucceeded || s == RequestFailed
}

// Valid reports whether s is one of the statuses.
func (s RequestStatus) Valid() bool { return slices.Contains(RequestStatuses, s) }

// StatusOf folds the steps of a request into its status: waiting while any
// step waits, failed when every step that did something failed, partly
// succeeded when some did. A skipped step is no failure.
func StatusOf(steps []Step) RequestStatus {
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
		return RequestProcessing
	case unpaid > 0:
		return RequestAwaitingCredits
	case failed == 0:
		return RequestSucceeded
	case done > 0:
		return RequestPartiallySucceeded
	}
	return RequestFailed
}
