package connectortest

import (
	"usersync/internal/connector"
	"usersync/internal/connector/fakeplatform"
	"usersync/internal/usersync"
)

// way is how a person is pushed who has left.
type way struct {
	name   string
	people func(s Platform) int
	// forgets says that nothing is known of earlier pushes.
	forgets bool
}

// ways are all of them.
var ways = []way{
	{"alone", func(Platform) int { return 1 }, false},
	{"in a batch", func(Platform) int { return 2 }, false},
	{"in an import", func(s Platform) int { return min(max(s.JobOf, 20), s.Kind.Batch) }, false},
	{"alone after a restart", func(Platform) int { return 1 }, true},
	{"in an import after a restart", func(s Platform) int { return min(max(s.JobOf, 20), s.Kind.Batch) }, true},
}

// staysAway is the case of people who have left in one way: they are not put back,
// however they are pushed, and read the same everywhere.
func staysAway(how fakeplatform.Leaving) func(*fixture) {
	return func(f *fixture) {
		leaver, ok := f.Fake.(fakeplatform.Leaver)
		ada := Ada(f)
		f.bringOne(&ada)
		if !ok || !leaver.Leave(ada.Email.Display(), how) {
			f.Skip("nobody can leave the platform in this way")
		}
		want := f.preview(ada).Status
		if want != connector.Skipped && how != fakeplatform.LeftCleaned {
			f.Errorf("the preview says %s, want %s", want, connector.Skipped)
		}
		for _, w := range ways {
			f.another().staysAwayIn(w, how, want)
		}
	}
}

func (f *fixture) staysAwayIn(w way, how fakeplatform.Leaving, want connector.Status) {
	f.Helper()
	leaver := f.Fake.(fakeplatform.Leaver)
	people := append([]connector.Profile{Ada(f)}, People(f, w.people(f.suite)-1)...)
	f.remember(people)
	leaver.Leave(people[0].Email.Display(), how)
	if w.forgets {
		for i := range people {
			people[i].Remote = ""
		}
		f.connector = f.open(f.config, f.client)
	}
	for range 2 { // a push of one who was pushed so before is no other
		for i := range people {
			people[i].FirstName += "a"
		}
		if preview := f.preview(people[0]); preview.Status != want {
			f.Errorf("%s %s: the preview says %s, want %s", how, w.name, preview.Status, want)
		}
		results := f.remember(people)
		if !leaver.Gone(people[0].Email.Display(), how) {
			f.Errorf("%s %s: was put back", how, w.name)
		}
		r := results[0]
		isAway := r.Status == connector.Skipped && r.Reason == usersync.ReasonUnsubscribed
		if isAway != (want == connector.Skipped) {
			f.Errorf("%s %s: reads %s %q, but alone %s", how, w.name, r.Status, r.Reason, want)
		}
		for i, other := range results[1:] {
			if !arrived(other) {
				f.Errorf("%s %s: person %d beside them: %+v, %v", how, w.name, i+1, other, other.Err)
			}
		}
	}
}

// remember brings people, who keep what the results gave to keep.
func (f *fixture) remember(people []connector.Profile) []connector.Result {
	f.Helper()
	results := f.bring(people...)
	for i, r := range results {
		if r.Remote != "" {
			people[i].Remote = r.Remote
		}
	}
	return results
}
