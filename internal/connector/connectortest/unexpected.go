package connectortest

import (
	"usersync/internal/connector"
	"usersync/internal/connector/fakeplatform"
	"usersync/internal/usersync"
)

// maintenance is what a gateway may answer with a 200 while the platform is away.
const maintenance = `{"title":"maintenance"}`

// takesNoStrangeSuccess answers each call of a push in turn with a success that is not
// the platform's. No such push is done.
func takesNoStrangeSuccess(f *fixture) {
	if f.suite.StatusOnly {
		f.Skip("the platform says everything by its status")
	}
	for _, n := range []int{1, max(2, f.suite.JobOf)} {
		for skip := range mostCalls {
			one := f.another()
			before := one.calls()
			one.Break(fakeplatform.Fault{Body: maintenance, Times: 1, Skip: skip})
			people := People(f, min(n, f.Kind.Batch))
			results, err := one.push(people...)
			if one.calls()-before <= skip {
				break
			}
			if usersync.CodeOf(err) != usersync.CodeUnavailable {
				f.Errorf("%d people, call %d: %+v, %v", n, skip+1, results, err)
			}
		}
	}
	ada := Ada(f)
	f.bringOne(&ada)
	f.Break(fakeplatform.Fault{Body: maintenance})
	_, err := f.connector.Preview(f.Context(), Ada(f))
	f.wantCode(err, usersync.CodeUnavailable)
	_, err = f.connector.Check(f.Context())
	f.wantCode(err, usersync.CodeUnavailable)
	_, err = f.connector.Remove(f.Context(), Ada(f))
	f.wantCode(err, usersync.CodeUnavailable)
	if maker, ok := f.connector.(connector.AudienceMaker); ok {
		calls := f.calls()
		if _, _, err = maker.MakeAudience(f.Context(), "an audience", ""); f.calls() > calls {
			f.wantCode(err, usersync.CodeUnavailable)
		}
	}
	f.confirmsNoStrangeSuccess()
}

// confirmsNoStrangeSuccess asks for a job and is answered with something else.
func (f *fixture) confirmsNoStrangeSuccess() {
	f.Helper()
	confirmer, ok := f.connector.(connector.Confirmer)
	if !ok {
		return
	}
	f.Break()
	people := People(f, min(max(3, f.suite.JobOf), f.Kind.Batch))
	results, err := f.push(people...)
	if err != nil {
		f.Fatal(err)
	}
	f.Break(fakeplatform.Fault{Body: maintenance})
	for job := range pendingJobs(results) {
		_, err := confirmer.Confirm(f.Context(), job, people)
		f.wantCode(err, usersync.CodeUnavailable)
	}
}
