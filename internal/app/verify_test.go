package app_test

import (
	"bytes"
	"strings"
	"testing"

	"usersync/internal/app"
	"usersync/internal/app/apptest"
	"usersync/internal/config"
	"usersync/internal/roomtest"
	"usersync/internal/store"
)

// Verify is asked while the service runs. It says which rule does not hold, of which
// row, and what to do next.
func TestVerifyTellsWhatIsWrongAndWhatToDo(t *testing.T) {
	t.Parallel()
	apptest.Each(t, func(t *testing.T, e *apptest.Environment) {
		n := newTenant(t, e.Start(t, app.All), 3)
		ask := func() (string, error) {
			var out bytes.Buffer
			err := app.Verify(t.Context(), environ(e.Config, e.Schema), &out)
			return strings.Join(strings.Fields(out.String()), " "), err
		}
		text, err := ask()
		if err != nil || !strings.Contains(text, "ok every balance is the sum of its ledger") || strings.Contains(text, "BROKEN") || !strings.Contains(text, "0 requests without an end") {
			t.Errorf("nothing is wrong: %v\n%s", err, text)
		}
		db := roomtest.SQLOf(t, store.Options{URL: e.Config.DatabaseURL, Dir: e.Config.DataDir, Schema: e.Schema})
		roomtest.Execute(t, db, `UPDATE balances SET balance = 4`)
		text, err = ask()
		if err == nil || err.Error() == "" || !strings.Contains(text, "1 BROKEN every balance is the sum of its ledger") || !strings.Contains(text, n.org.ID) ||
			!strings.Contains(text, "The ledger is the truth") {
			t.Errorf("a balance is wrong: %v\n%s", err, text)
		}
		roomtest.Execute(t, db, `UPDATE balances SET balance = 3`)
	})
}

// environ are the settings of a program as its environment has them.
func environ(c config.Config, schema string) []string {
	list := []string{"DATA_DIR=" + c.DataDir, "SEALING_KEYS=" + c.SealingKeys.Reveal(), "ADMIN_TOKEN=" + c.AdminToken.Reveal()}
	if c.Embedded() {
		return list
	}
	return append(list, "DATABASE_URL="+c.DatabaseURL.Reveal()+"&search_path="+schema, "REDIS_URL="+c.RedisURL.Reveal())
}
