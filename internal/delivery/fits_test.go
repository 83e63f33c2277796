package delivery

import (
	"testing"
	"time"

	"usersync/internal/store"
	"usersync/internal/store/storetest"
	"usersync/internal/tenant"
	"usersync/internal/usersync"
	"usersync/internal/webhooksig"
)

// The end of an old secret changes no row: what is remembered must end by itself.
func TestWhatIsRememberedEndsWithTheOldSecret(t *testing.T) {
	t.Parallel()
	storetest.Engines(t, func(t *testing.T, open func() *store.Store) { rememberedEndsWithTheOldSecret(t, open()) })
}

func rememberedEndsWithTheOldSecret(t *testing.T, s *store.Store) {
	t.Helper()
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
	if err != nil || time.Until(after.until) < SecretOverlap-time.Minute || time.Until(after.until) > SecretOverlap || rotated.OldSecretUntil.IsZero() || before.fits(after.version) || !after.fits(after.version) {
		t.Errorf("with two secrets it fits until %s, the old one ends at %s; %v", after.until, rotated.OldSecretUntil, err)
	}
	after.until = time.Now()
	if after.fits(after.version) {
		t.Error("it still fits when the old secret has ended")
	}
	// By the database's clock the old secret has ended, whatever this process believes.
	err = org.Tx(t.Context(), func(tx *store.Tx) error {
		now, err := tx.Now(t.Context())
		if err != nil {
			return err
		}
		return tx.GORM().Model(&endpointRow{ID: e.ID}).Update("old_secret_until", store.Micros(now)).Error
	})
	if err != nil {
		t.Fatal(err)
	}
	ended, err := GetEndpoint(t.Context(), org, e.ID)
	if err != nil || len(ended.Secrets) != 1 || !ended.OldSecretUntil.IsZero() {
		t.Errorf("%d secrets sign, the old one until %s; %v", len(ended.Secrets), ended.OldSecretUntil, err)
	}
}
