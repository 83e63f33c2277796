package app_test

import (
	"strings"
	"testing"

	"usersync/internal/request"
	"usersync/internal/usersync"
)

func TestAUserSyncOfAKnownIDMovesTheContactsAtThePlatforms(t *testing.T) {
	t.Parallel()
	each(t, 10, func(t *testing.T, n customer) {
		moves, stays := n.connect(t, "brevo"), n.connect(t, "copernica")
		first := n.sync(t, usersync.UserInput{}, "ada@old.example.org")
		moves.step(t, first, request.StepSynced)
		stays.step(t, first, request.StepSynced)
		ada := n.until(t, first, request.Succeeded).UserID

		second := n.sync(t, usersync.UserInput{UserID: ada, FirstName: "Ada"}, "ada@new.example.org")
		moves.step(t, second, request.StepSynced)
		if s := stays.step(t, second, request.StepSynced); !strings.Contains(s.Details, "the contact with the former address stays") {
			t.Errorf("a platform that cannot move contacts says %q", s.Details)
		}
		if r := n.until(t, second, request.Succeeded); r.UserID != ada {
			t.Errorf("the request is about %s, want %s", r.UserID, ada)
		}
		if _, there := moves.fake.People().Get("ada@old.example.org"); there {
			t.Error("the contact was not moved but made anew")
		}
		if _, there := moves.fake.People().Get("ada@new.example.org"); !there {
			t.Error("nobody has the new address")
		}
	})
}
