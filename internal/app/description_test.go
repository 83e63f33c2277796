package app_test

import (
	"regexp"
	"slices"
	"testing"

	"usersync/internal/app"
	"usersync/internal/app/apptest"
	"usersync/internal/colleague"
	"usersync/internal/consent"
	"usersync/internal/delivery"
	"usersync/internal/directory"
	"usersync/internal/platform"
	"usersync/internal/reaction"
	"usersync/internal/request"
	"usersync/internal/tenant"
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
	sameWords(t, d, "RequestKind", []request.Kind{request.KindUserSync, request.KindPlatformSync, request.KindPlatformBulk, request.KindEvent})
	sameWords(t, d, "RequestStatus", request.Statuses)
	sameWords(t, d, "FollowUpRunStatus", reaction.Statuses)
	sameWords(t, d, "StepName", []request.StepName{request.StepColleagues, request.StepPlatform, request.StepFollowUps})
	sameWords(t, d, "StepStatus", []request.StepStatus{
		request.StepPending, request.StepRetrying, request.StepAwaitingCredits, request.StepSucceeded,
		request.StepWouldSync, request.StepSynced, request.StepUnchanged, request.StepSkipped, request.StepFailed,
	})
	sameWords(t, d, "SkipReason", []string{
		colleague.ReasonPersonalEmail, colleague.ReasonMembershipEmail, colleague.ReasonCustomersDomain, colleague.ReasonDisposableEmail, colleague.ReasonRoleAddress, colleague.ReasonNoCompany, colleague.ReasonColleaguesDisabled,
		platform.ReasonConnectionPaused, platform.ReasonConnectionDisconnected, platform.ReasonConnectionDeleted, usersync.ReasonUnsubscribed, platform.ReasonErased, platform.ReasonAway, platform.ReasonNothingToLeave, platform.ReasonOvertaken, request.ReasonStopped,
	})
	sameWords(t, d, "AliasReason", colleague.AliasReasons)
	sameWords(t, d, "MatchReason", []string{
		colleague.ReasonSameCompany, colleague.ReasonSameCountry, colleague.ReasonSameDepartment,
		colleague.ReasonNearSeniority, colleague.ReasonKnownUser, colleague.ReasonSeveralRecords, colleague.ReasonKnownProfile,
	})
	sameWords(t, d, "MessageType", delivery.MessageTypes)
	sameWords(t, d, "DeliveryStatus", []delivery.Status{
		delivery.Pending, delivery.Retrying, delivery.Delivered, delivery.Failed,
	})
	sameWords(t, d, "StandingState", platform.States)
	sameWords(t, d, "ConnectionStatus", []string{platform.ConnectionActive, platform.ConnectionPaused, platform.ConnectionDisconnected})
	sameWords(t, d, "ImportStatus", directory.ImportStatuses)
	sameWords(t, d, "Scope", tenant.Scopes)
	sameWords(t, d, "Channel", consent.Channels)
	sameWords(t, d, "ConsentStatus", consent.Statuses)
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
