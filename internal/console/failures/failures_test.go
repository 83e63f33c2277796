package failures

import (
	"strings"
	"testing"
	"time"

	"usersync/internal/request"
	"usersync/internal/usersync"
)

func TestFailuresAreGroupedByWhatTheyHaveInCommon(t *testing.T) {
	t.Parallel()
	now := time.Now()
	failed := func(id, connection string, code usersync.Code, age time.Duration) *request.View {
		return &request.View{RequestID: id, CreatedAt: usersync.Time{Time: now.Add(-age)}, Steps: []request.StepView{
			{Name: request.StepColleagues, Status: request.StepSucceeded},
			{Name: request.StepPlatform, Platform: "mailchimp", ConnectionID: connection, Status: request.StepFailed, Error: &request.ErrorView{Code: code, Message: "m-" + id}},
		}}
	}
	f := GroupsOf([]*request.View{failed("c", "one", "rejected", time.Minute), failed("b", "two", "rejected", time.Hour), failed("a", "one", "rejected", 2*time.Hour)}, now)
	if len(f.List) != 2 || f.Requests != 3 {
		t.Fatalf("%+v", f)
	}
	first := f.List[0]
	if first.Connection != "one" || strings.Join(first.Requests, "") != "ca" || first.Message != "m-c" || first.Bars[0] != 1 || first.Bars[barCount-1] != 1 {
		t.Errorf("%+v", first)
	}
	if got := GroupsOf(nil, now); len(got.List) != 0 {
		t.Errorf("%+v", got)
	}
}
