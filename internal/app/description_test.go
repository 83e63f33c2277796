package app_test

import (
	"regexp"
	"slices"
	"testing"

	"usersync/internal/app"
	"usersync/internal/app/apptest"
	"usersync/internal/colleague"
	"usersync/internal/usersync"
)

func describe(t *testing.T) *apptest.Description {
	t.Helper()
	d, err := apptest.Describe()
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// parameter finds a path parameter: /:id as mounted, /{requestId} as described.
var parameter = regexp.MustCompile(`/(:\w+|\{\w+\})`)

func nameless(routes []string) []string {
	out := make([]string, len(routes))
	for i, r := range routes {
		out[i] = parameter.ReplaceAllString(r, "/{}")
	}
	return out
}

func TestEveryMountedRouteIsDescribedAndEveryDescribedOneMounted(t *testing.T) {
	t.Parallel()
	mounted := nameless(apptest.New(t, "embedded").Start(t, app.API).Routes())
	described := nameless(describe(t).Routes())
	if len(mounted) < 10 {
		t.Errorf("only %v is mounted", mounted)
	}
	for _, r := range mounted {
		if !slices.Contains(described, r) {
			t.Errorf("%s is mounted and not described", r)
		}
	}
	for _, r := range described {
		if !slices.Contains(mounted, r) {
			t.Errorf("%s is described and not mounted", r)
		}
	}
}

func TestDescriptionSpeaksTheVocabulary(t *testing.T) {
	t.Parallel()
	d := describe(t)
	var codes []usersync.Code
	for _, c := range usersync.Codes {
		codes = append(codes, c.Code)
	}
	sameWords(t, d, "ErrorCode", codes)
	sameWords(t, d, "RequestKind", []usersync.RequestKind{usersync.KindUserSync, usersync.KindPlatformSync, usersync.KindPlatformBulk})
	sameWords(t, d, "RequestStatus", usersync.RequestStatuses)
	sameWords(t, d, "StepName", []usersync.StepName{usersync.StepColleagues, usersync.StepPlatform, usersync.StepFollowUps})
	sameWords(t, d, "StepStatus", []usersync.StepStatus{
		usersync.StepPending, usersync.StepRetrying, usersync.StepAwaitingCredits, usersync.StepSucceeded,
		usersync.StepWouldSync, usersync.StepSynced, usersync.StepUnchanged, usersync.StepSkipped, usersync.StepFailed,
	})
	sameWords(t, d, "SkipReason", []string{
		usersync.ReasonPersonalEmail, usersync.ReasonDisposableEmail, usersync.ReasonRoleAddress, usersync.ReasonNoCompany, usersync.ReasonColleaguesDisabled,
		usersync.ReasonConnectionPaused, usersync.ReasonConnectionDisconnected, usersync.ReasonConnectionDeleted, usersync.ReasonUnsubscribed, usersync.ReasonErased,
	})
	sameWords(t, d, "MatchReason", []string{
		colleague.ReasonSameCompany, colleague.ReasonSameCountry, colleague.ReasonSameDepartment,
		colleague.ReasonNearSeniority, colleague.ReasonKnownUser, colleague.ReasonSeveralRecords, colleague.ReasonKnownProfile,
	})
	sameWords(t, d, "MessageType", usersync.MessageTypes)
	sameWords(t, d, "DeliveryStatus", []usersync.DeliveryStatus{
		usersync.DeliveryPending, usersync.DeliveryRetrying, usersync.DeliveryDelivered, usersync.DeliveryFailed,
	})
	sameWords(t, d, "ConnectionStatus", []string{usersync.ConnectionActive, usersync.ConnectionPaused, usersync.ConnectionDisconnected})
	sameWords(t, d, "ImportStatus", usersync.ImportStatuses)
	sameWords(t, d, "Scope", usersync.Scopes)
	sameWords(t, d, "ErrorOwner", []usersync.Owner{usersync.OwnerYou, usersync.OwnerPlatform, usersync.OwnerUs})
}

func sameWords[S ~string](t *testing.T, d *apptest.Description, schema string, words []S) {
	t.Helper()
	var want []string
	for _, w := range words {
		want = append(want, string(w))
	}
	if got := d.Enum(schema); !slices.Equal(got, want) {
		t.Errorf("%s allows %v, the vocabulary says %v", schema, got, want)
	}
}
