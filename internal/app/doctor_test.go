package app_test

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"usersync/internal/app"
	"usersync/internal/app/apptest"
	"usersync/internal/config"
	"usersync/internal/roomtest"
	"usersync/internal/store"
	"usersync/internal/store/storetest"
)

// examine returns what the doctor says, with single spaces.
func examine(t *testing.T, environ ...string) (text string, err error) {
	t.Helper()
	var out bytes.Buffer
	err = app.Doctor(t.Context(), environ, &out)
	return strings.Join(strings.Fields(out.String()), " "), err
}

func TestTheDoctorFindsNothingWrongWithWhatRuns(t *testing.T) {
	t.Parallel()
	apptest.Each(t, func(t *testing.T, e *apptest.Environment) {
		newTenant(t, e.Start(t, app.All), 3)
		text, err := examine(t, environ(e.Config, e.Schema)...)
		if err != nil || strings.Contains(text, "FAILED") || !strings.Contains(text, "ok schema is this release's") || !strings.Contains(text, "ok sealing keys open all") {
			t.Errorf("%v\n%s", err, text)
		}
		if deployed := strings.Contains(text, "ok redis answers") && strings.Contains(text, "ok clock differs") && strings.Contains(text, "ok eviction"); deployed == e.Config.Embedded() {
			t.Errorf("Redis and clocks: %s", text)
		}
		if strings.Contains(text, "password") || strings.Contains(text, e.Config.SealingKeys.Reveal()) {
			t.Errorf("it tells secrets: %s", text)
		}
	})
}

func TestTheDoctorSaysWhatIsWrongAndWhatToDo(t *testing.T) {
	t.Parallel()
	apptest.Each(t, func(t *testing.T, e *apptest.Environment) {
		a := e.Start(t, app.All)
		n := newTenant(t, a, 3)
		db := roomtest.SQLOf(t, store.Options{URL: e.Config.DatabaseURL, Dir: e.Config.DataDir, Schema: e.Schema})
		roomtest.Execute(t, db, `INSERT INTO webhook_endpoints (id, organization_id, url, event_types, status, secret, created_at, updated_at)
			VALUES ('whe_1', $1, 'https://acme.example', '[]', 'disabled', $2, 1, 1)`, n.org.ID, sealedElsewhere(t))
		other := append(environ(e.Config, e.Schema), "EGRESS_ALLOW=0.0.0.0/0")
		text, err := examine(t, other...)
		if err == nil || !strings.Contains(text, "FAILED sealing keys 1 of ") || !strings.Contains(text, "Add the missing keys") {
			t.Errorf("a secret is sealed by another key: %v\n%s", err, text)
		}
		if !strings.Contains(text, "WARN egress EGRESS_ALLOW lets") {
			t.Errorf("every network is allowed: %s", text)
		}
	})
}

// sealedElsewhere returns a value that is sealed by a key of another installation.
func sealedElsewhere(t *testing.T) string {
	t.Helper()
	value, err := storetest.Keys(t).Seal([]byte("whsec_c2VjcmV0"), "webhook_endpoints/whe_1/secret")
	must(t, err)
	return value
}

func TestTheDoctorMakesNoDatabase(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	text, err := examine(t, "DATA_DIR="+folder)
	if err == nil || !strings.Contains(text, "FAILED database There is no database in") || !strings.Contains(text, "usersync serve") {
		t.Errorf("%v\n%s", err, text)
	}
	if made, err := os.ReadDir(folder); err != nil || len(made) > 0 {
		t.Errorf("it made %v, %v", made, err)
	}
}

func TestTheDoctorTellsServersThatAreAwayAndNoPassword(t *testing.T) {
	t.Parallel()
	text, err := examine(t, "DATABASE_URL=postgres://usersync:topsecret@127.0.0.1:1/usersync", "REDIS_URL=redis://:topsecret@127.0.0.1:1/0",
		"ADMIN_TOKEN=0123456789abcdef", "SEALING_KEYS="+config.NewSealingKeys().Reveal())
	if err == nil || !strings.Contains(text, "FAILED database") || !strings.Contains(text, "FAILED redis") || strings.Contains(text, "topsecret") {
		t.Errorf("%v\n%s", err, text)
	}
}
