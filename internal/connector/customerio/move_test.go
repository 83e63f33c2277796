package customerio_test

import (
	"testing"

	"usersync/internal/connector"
	"usersync/internal/connector/ability"
	"usersync/internal/connector/connectortest"
	"usersync/internal/usersync"
)

// Who is known by our id gets the new address by the push, as the same person. By their
// addresses people cannot be moved.
func TestPeopleKnownByOurIDMove(t *testing.T) {
	t.Parallel()
	a := platform.Serve(t)
	if _, ok := ability.MoverOf(a.Dial(`{}`, connector.Facts{})); ok {
		t.Error("a connection by address says that it moves people")
	}
	c := a.Dial(`{"identifyBy":"id"}`, connector.Facts{})
	ada := connectortest.Ada(t)
	a.Bring(c, &ada)
	former := ada.Email
	ada.Email = usersync.NewEmail("countess@analytical-engine.example", "countess@analytical-engine.example")
	m, ok := ability.MoverOf(c)
	if !ok {
		t.Fatal("a connection by our ids cannot move people")
	}
	if r, err := m.Move(t.Context(), ada, former); err != nil || r.Status != connector.Updated {
		t.Errorf("%+v, %v", r, err)
	}
	a.Bring(c, &ada)
	if n := a.Fake.People().Len(); n != 1 {
		t.Errorf("%d people, want the one", n)
	}
}
