package usersync_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"usersync/internal/usersync"
)

// prefixes are those of ids that are offered to the API.
var prefixes = []usersync.Prefix{
	usersync.PrefixRequest, usersync.PrefixUser, usersync.PrefixKey, usersync.PrefixEndpoint, usersync.PrefixDelivery,
	usersync.PrefixImport, usersync.PrefixErasure, usersync.PrefixEvent, usersync.PrefixConnection,
}

// FuzzID checks that an id is of one kind at most, holds nothing but letters and
// digits, and that whatever an id is derived from gives one of the right form.
func FuzzID(f *testing.F) {
	for _, seed := range []string{
		usersync.NewID(usersync.PrefixRequest), "req_", "req_01kb5s2r4v0g1h2j3k4m5n6p7q", "user_000000000000000000000000", "req_ILOU",
		"del_01kb5s2r4v0g1h2j3k4m5n6p7q8r9s0t1v", "req_01kb5s2r4v0g1h2j3k4m5n6p7q\x00", "REQ_01kb5s2r4v0g1h2j3k4m5n6p7q", "_", "", "req__01kb5s2r4v0g1h2j3k4m5n6p7",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		kinds := 0
		for _, p := range prefixes {
			if !usersync.HasPrefix(text, p) {
				continue
			}
			kinds++
			if len(text) > 40 || strings.Trim(text, "_0123456789abcdefghijklmnopqrstuvwxyz") != "" || strings.Count(text, "_") != 1 {
				t.Fatalf("%q is an id", text)
			}
		}
		if kinds > 1 {
			t.Fatalf("%q is of %d kinds", text, kinds)
		}
		derived := usersync.DeriveID(usersync.PrefixMessage, text, "part")
		if again := usersync.DeriveID(usersync.PrefixMessage, text, "part"); derived != again {
			t.Fatalf("%q gives %s and %s", text, derived, again)
		}
		if kinds == 1 && !usersync.HasPrefix(derived, usersync.PrefixMessage) {
			t.Fatalf("%q gives %s", text, derived)
		}
		if keyed := usersync.KeyedID(usersync.PrefixUser, []byte("salt"), text); !usersync.HasPrefix(keyed, usersync.PrefixUser) {
			t.Fatalf("%q gives %s", text, keyed)
		}
	})
}

// stepStatuses are all that a step can have.
var stepStatuses = []usersync.StepStatus{
	usersync.StepPending, usersync.StepRetrying, usersync.StepAwaitingCredits, usersync.StepSucceeded,
	usersync.StepSynced, usersync.StepUnchanged, usersync.StepSkipped, usersync.StepFailed,
}

func stepsOf(code []byte) (steps []usersync.Step) {
	for _, c := range code[:min(len(code), 64)] {
		steps = append(steps, usersync.Step{Status: stepStatuses[int(c)%len(stepStatuses)]})
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
		status := usersync.StatusOf(steps)
		with := func(s usersync.StepStatus) usersync.RequestStatus {
			return usersync.StatusOf(append(slices.Clone(steps), usersync.Step{Status: s}))
		}
		waits := slices.ContainsFunc(steps, func(s usersync.Step) bool {
			return s.Status == usersync.StepPending || s.Status == usersync.StepRetrying || s.Status == usersync.StepAwaitingCredits
		})
		backwards := slices.Clone(steps)
		slices.Reverse(backwards)
		switch {
		case !status.Valid():
			t.Fatalf("%v has the status %q", steps, status)
		case status.Final() == waits:
			t.Fatalf("%v is %s", steps, status)
		case usersync.StatusOf(backwards) != status, with(usersync.StepSkipped) != status:
			t.Fatalf("%v is %s, but not in another order or with a skipped step", steps, status)
		case goodness(with(usersync.StepFailed)) > goodness(status):
			t.Fatalf("%v is %s, with one failure more %s", steps, status, with(usersync.StepFailed))
		case goodness(with(usersync.StepSucceeded)) < goodness(status):
			t.Fatalf("%v is %s, with one success more %s", steps, status, with(usersync.StepSucceeded))
		case with(usersync.StepPending) != usersync.RequestProcessing:
			t.Fatalf("%v and a pending step are %s", steps, with(usersync.StepPending))
		}
		// Whatever is worked now may end like this.
		if status != usersync.RequestProcessing && !usersync.RequestProcessing.CanBecome(status) {
			t.Fatalf("processing cannot become %s", status)
		}
	})
}

// goodness ranks the final statuses; those that wait are all the same.
func goodness(s usersync.RequestStatus) int {
	return slices.Index([]usersync.RequestStatus{usersync.RequestFailed, usersync.RequestPartiallySucceeded, usersync.RequestSucceeded}, s)
}

func TestTransitionsNameEveryStatusAndNoOther(t *testing.T) {
	t.Parallel()
	if len(usersync.Transitions) != len(usersync.RequestStatuses) {
		t.Errorf("%d statuses, %d in the table", len(usersync.RequestStatuses), len(usersync.Transitions))
	}
	for _, from := range usersync.RequestStatuses {
		next, ok := usersync.Transitions[from]
		if !ok {
			t.Errorf("%s is not in the table", from)
		}
		for _, to := range next {
			if !to.Valid() {
				t.Errorf("%s may become %q", from, to)
			}
			// What is over goes on only when somebody asks for it, from the start.
			if from.Final() && to != usersync.RequestQueued {
				t.Errorf("%s may become %s", from, to)
			}
		}
		if from.Final() != (from != usersync.RequestQueued && from != usersync.RequestProcessing && from != usersync.RequestAwaitingCredits) {
			t.Errorf("%s is final: %v", from, from.Final())
		}
	}
}

// FuzzIDBound checks that the borders of range scans sort like the times.
func FuzzIDBound(f *testing.F) {
	f.Add(int64(0), int64(1))
	f.Add(int64(1767225600000), int64(1767225600001))
	f.Add(int64(-5), int64(1<<49))
	f.Fuzz(func(t *testing.T, a, b int64) {
		const most = 1<<50 - 1
		a, b = min(max(a, 0), most), min(max(b, 0), most)
		x, y := usersync.IDBound(usersync.PrefixRequest, time.UnixMilli(a)), usersync.IDBound(usersync.PrefixRequest, time.UnixMilli(b))
		if (a < b) != (x < y) || (a == b) != (x == y) {
			t.Fatalf("%d and %d give %s and %s", a, b, x, y)
		}
	})
}
