package pipeline_test

import (
	"database/sql"
	"encoding/json"
	"testing"

	"usersync/internal/delivery"
	"usersync/internal/store"
	"usersync/internal/usersync"
)

// Colleagues are told of while the platforms are still to come.
func TestAMessageOfARequestThatGoesOnHasNoEnd(t *testing.T) {
	t.Parallel()
	eachHall(t, func(t *testing.T, h *hall, db *sql.DB, _ func() *store.Store) {
		_, err := delivery.CreateEndpoint(t.Context(), h.org, "test", delivery.Endpoint{URL: "https://x.example/", EventTypes: []string{string(delivery.MessageColleaguesFound)}}, usersync.NewSecret("whsec_x"))
		must(t, err)
		h.sync(t, []string{"ann@acme.example"})
		h.runAll(t, db)
		h.sync(t, []string{"bob@acme.example"})
		h.runAll(t, db)
		var body string
		must(t, db.QueryRowContext(t.Context(), `SELECT body FROM messages`).Scan(&body))
		var said struct {
			Data struct {
				Status     string `json:"status"`
				StartedAt  string `json:"startedAt"`
				FinishedAt string `json:"finishedAt"`
			} `json:"data"`
		}
		must(t, json.Unmarshal([]byte(body), &said))
		if said.Data.Status != "processing" || said.Data.StartedAt == "" || said.Data.FinishedAt != "" {
			t.Errorf("the message says %+v", said.Data)
		}
	})
}
