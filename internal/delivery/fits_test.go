package delivery

import (
	"testing"
	"time"

	"usersync/internal/store/storetest"
	"usersync/internal/tenant"
	"usersync/internal/usersync"
	"usersync/internal/webhooksig"
)

// The end of an old secret changes no row: what is remembered must end by itself.
func TestWhatIsRememberedEndsWithTheOldSecret(t *testing.T) {
	t.Parallel()
	s := storetest.Open(t, storetest.Options(t, "sqlite"))
	made, err := tenant.Create(t.Context(), s, "test", tenant.Organization{Name: "Acme"})
	if err != nil {
		t.Fatal(err)
	}
	org := s.Org(made.ID)
	e, err := CreateEndpoint(t.Context(), org, "test", Endpoint{URL: "https://hooks.example.com/", EventTypes: []string{"*"}}, webhooksig.NewSecret())
	if err != nil {
		t.Fatal(err)
	}
	before, err := loadTarget(t.Context(), org, e.ID)
	if err != nil || !before.until.IsZero() || !before.fits(before.version) {
		t.Errorf("with one secret it fits until %s; %v", before.until, err)
	}
	rotated, err := RotateSecret(t.Context(), org, "test", e.ID, func(string) usersync.Secret { return webhooksig.NewSecret() })
	if err != nil {
		t.Fatal(err)
	}
	after, err := loadTarget(t.Context(), org, e.ID)
	if err != nil || !after.until.Equal(rotated.OldSecretUntil.Time) || before.fits(after.version) || !after.fits(after.version) {
		t.Errorf("with two secrets it fits until %s, the old one ends at %s; %v", after.until, rotated.OldSecretUntil, err)
	}
	after.until = time.Now()
	if after.fits(after.version) {
		t.Error("it still fits when the old secret has ended")
	}
}
