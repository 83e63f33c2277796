package verify_test

import (
	"database/sql"
	"slices"
	"strings"
	"testing"
	"time"

	"usersync/internal/delivery"
	"usersync/internal/roomtest"
	"usersync/internal/store"
	"usersync/internal/usersync"
	"usersync/internal/verify"
)

// The work of a busy moment: a request that is queued, one that has ended and was
// charged, and a message on its way.
func busy(t *testing.T, s *store.Store, db *sql.DB) *strings.Replacer {
	t.Helper()
	n := roomtest.New(t, s, 3)
	o := n.Org(n.Organization.ID)
	queued, ended := n.Acceptance("ann@acme.example"), n.Acceptance("bob@acme.example")
	n.Accept(t, n.Submission(queued), n.Submission(ended))
	endpoint, err := delivery.CreateEndpoint(t.Context(), o, "test", delivery.Endpoint{URL: "https://x.example/", EventTypes: []string{"test"}}, usersync.NewSecret("whsec_x"))
	if err != nil {
		t.Fatal(err)
	}
	sent, err := delivery.Test(t.Context(), o, "test", endpoint.ID, "")
	if err != nil {
		t.Fatal(err)
	}
	connection := n.Connect(t)
	names := strings.NewReplacer("$org", n.Organization.ID, "$queued", queued.RequestID, "$ended", ended.RequestID, "$user", ended.UserID,
		"$del", sent.ID, "$msg", sent.MessageID, "$connection", connection.ID, "$unheard", usersync.NewID(usersync.PrefixRequest),
		"$retired", usersync.IDBound(usersync.PrefixRequest, time.Now().AddDate(0, 0, -2)))
	for _, text := range []string{
		`UPDATE requests SET status = 'succeeded', finished_at = 1, charged = 1 WHERE id = '$ended'`,
		`INSERT INTO steps (request_id, position, organization_id, name, status, updated_at) VALUES ('$ended', 0, '$org', 'colleagues', 'succeeded', 1)`,
		`INSERT INTO ledger (id, organization_id, kind, amount, request_id, balance_after, created_at) VALUES ('led_z', '$org', 'charge', -1, '$ended', 2, 1)`,
		// Its request was removed after its days.
		`INSERT INTO ledger (id, organization_id, kind, amount, request_id, balance_after, created_at) VALUES ('led_a', '$org', 'charge', -1, '$retired', 2, 1)`,
		`UPDATE balances SET balance = 1 WHERE organization_id = '$org'`,
	} {
		roomtest.Execute(t, db, names.Replace(text))
	}
	return names
}

// breaks says what breaks each rule, by its name.
var breaks = map[string][]string{
	"every connection whose platform has told something has a task that takes it in": {
		`INSERT INTO signals (connection_id, id, organization_id, channel, status, stated_at, created_at) VALUES ('$connection', 'sig_1', '$org', 'email', 'unsubscribed', 1, 1)`,
	},
	"every run of a follow-up without an end has a task": {
		`INSERT INTO follow_up_runs (id, organization_id, follow_up_id, version, event_id, root_id, task_id, status, created_at, updated_at)
			VALUES ('fur_1', '$org', 'fup_1', 1, 'evt_1', 'evt_1', 'tsk_none', 'waiting', 1, 1)`,
	},
	"every balance is the sum of its ledger": {
		`UPDATE balances SET balance = 7 WHERE organization_id = '$org'`,
	},
	"a request is charged exactly where the ledger has a charge for it": {
		`UPDATE requests SET charged = 0 WHERE id = '$ended'`,
		`UPDATE requests SET charged = 1 WHERE id = '$queued'`,
	},
	"every charge of the last day is for a request that is there": {
		`UPDATE balances SET balance = 0 WHERE organization_id = '$org'`,
		`INSERT INTO ledger (id, organization_id, kind, amount, request_id, balance_after, created_at) VALUES ('led_y', '$org', 'charge', -1, '$unheard', 0, 1)`,
	},
	"every request without an end has a task or waits for a push": {`DELETE FROM outbox WHERE kind = 'k'`},
	"every delivery without an end has a task":                    {`DELETE FROM outbox WHERE kind = 'webhook.deliver'`},
	"every connection with pushes that are due has a task": {
		`INSERT INTO pushes (connection_id, user_id, organization_id, status, due_at) VALUES ('$connection', '$user', '$org', 'pending', 1)`,
		`DELETE FROM outbox WHERE kind = 'platform.push'`,
	},
	"a request has an end exactly where its status is final": {`UPDATE requests SET finished_at = 0 WHERE id = '$ended'`},
	"the steps of a request that has an end have ended, and failed only where it says so": {
		`UPDATE steps SET status = 'retrying'`,
	},
	"who waits for a push is a request that is there": {
		`INSERT INTO push_waits (connection_id, user_id, request_id, organization_id, position, mode, version, created_at) VALUES ('$connection', '$user', '$unheard', '$org', 0, 'state', 1, 1)`,
	},
	"every delivery has its message":                 {`DELETE FROM messages`},
	"every message has a delivery":                   {`DELETE FROM deliveries`},
	"no message has a number that was not given out": {`UPDATE messages SET sequence = sequence + 1`},
	"every link is between a user and a colleague that are there": {
		`INSERT INTO colleague_links (user_id, colleague_id, organization_id, score, reasons, created_at) VALUES ('$user', 'tbi_none', '$org', 1, '', 1)`,
	},
	"everything belongs to an organization that is there": {
		`INSERT INTO users (id, organization_id, email_key, email, person_key, created_at, updated_at) VALUES ('user_1', 'org_none', 'a', 'a', 'a', 1, 1)`,
	},
}

func broken(t *testing.T, s *store.Store) (names []string) {
	t.Helper()
	findings, err := verify.Run(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range findings {
		if len(f.Breaches) > 0 {
			names = append(names, f.Name)
		}
	}
	return names
}

func TestEachRuleFindsWhatBreaksItAndNothingElse(t *testing.T) {
	t.Parallel()
	if len(breaks) != len(verify.Rules) {
		t.Errorf("%d rules are broken here, there are %d", len(breaks), len(verify.Rules))
	}
	for rule, texts := range breaks {
		t.Run(rule, func(t *testing.T) {
			t.Parallel()
			roomtest.Engines(t, func(t *testing.T, s *store.Store, db *sql.DB) {
				names := busy(t, s, db)
				if got := broken(t, s); len(got) > 0 {
					t.Fatalf("nothing is wrong, and these are broken: %q", got)
				}
				for _, text := range texts {
					roomtest.Execute(t, db, names.Replace(text))
				}
				if got := broken(t, s); !slices.Equal(got, []string{rule}) {
					t.Errorf("these are broken: %q", got)
				}
			})
		})
	}
}

func TestWhatIsLeftIsCounted(t *testing.T) {
	t.Parallel()
	roomtest.Engines(t, func(t *testing.T, s *store.Store, db *sql.DB) {
		busy(t, s, db)
		left, err := verify.AllLeft(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]int64{}
		for _, l := range left {
			got[l.Name] = l.Count
		}
		if got["requests without an end"] != 1 || got["deliveries without an end"] != 1 || got["tasks"] == 0 || got["erasures without an end"] != 0 {
			t.Errorf("%v", got)
		}
	})
}
