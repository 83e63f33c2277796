package store_test

import (
	"database/sql"
	"regexp"
	"strings"
	"testing"

	"usersync/internal/delivery"
	"usersync/internal/intake"
	"usersync/internal/roomtest"
	"usersync/internal/store"
	"usersync/internal/store/storetest"
	"usersync/internal/usersync"
)

// furnished has an organization with 3 credits, a request with a step, a charge for it,
// and a message about it on its way to an endpoint.
func furnished(t *testing.T, s *store.Store, db *sql.DB) *strings.Replacer {
	t.Helper()
	n := roomtest.New(t, s, 3)
	o := n.Org(n.Organization.ID)
	var items []*intake.Acceptance
	items = append(items, n.Acceptance("ann@acme.example"))
	n.Accept(t, n.Submission(items...))
	endpoint, err := delivery.CreateEndpoint(t.Context(), o, "test", delivery.Endpoint{URL: "https://x.example/", EventTypes: []string{"*"}}, usersync.NewSecret("whsec_x"))
	if err != nil {
		t.Fatal(err)
	}
	message := delivery.RequestMessageID(items[0].RequestID, 1, delivery.MessageCompleted)
	names := strings.NewReplacer("$org", n.Organization.ID, "$req", items[0].RequestID, "$whe", endpoint.ID, "$msg", message,
		"$del", delivery.IDOf(message, endpoint.ID), "$connection", n.Connect(t).ID)
	for _, text := range []string{
		`INSERT INTO steps (request_id, position, organization_id, name, status, updated_at) VALUES ('$req', 0, '$org', 'colleagues', 'succeeded', 1)`,
		`INSERT INTO ledger (id, organization_id, kind, amount, request_id, balance_after, created_at) VALUES ('led_z', '$org', 'charge', -1, '$req', 2, 1)`,
		`INSERT INTO messages (id, organization_id, type, sequence, body, created_at) VALUES ('$msg', '$org', 'test', 1, '', 1)`,
		`INSERT INTO deliveries (id, organization_id, message_id, endpoint_id, type, status, created_at, updated_at) VALUES ('$del', '$org', '$msg', '$whe', 'test', 'pending', 1, 1)`,
		`INSERT INTO pushes (connection_id, user_id, organization_id) VALUES ('$connection', 'user_1', '$org')`,
	} {
		roomtest.Execute(t, db, names.Replace(text))
	}
	return names
}

// refused must fail on the rows of furnished, each by a rule of the schema.
var refused = map[string]string{
	"an unknown status of a request":        `UPDATE requests SET status = 'done'`,
	"an unknown kind of request":            `UPDATE requests SET kind = 'x'`,
	"a request charged seventeen times":     `UPDATE requests SET charged = 17`,
	"a request charged less than nothing":   `UPDATE requests SET charged = -1`,
	"an unknown status of a step":           `UPDATE steps SET status = 'done'`,
	"an unknown step":                       `UPDATE steps SET name = 'x'`,
	"a step of no request":                  `INSERT INTO steps (request_id, position, organization_id, name, status, updated_at) VALUES ('req_none', 0, '$org', 'colleagues', 'pending', 1)`,
	"a step of another's request":           `INSERT INTO steps (request_id, position, organization_id, name, status, updated_at) VALUES ('$req', 1, 'org_other', 'colleagues', 'pending', 1)`,
	"a request taken from its steps":        `DELETE FROM requests`,
	"a bulk of no request":                  `INSERT INTO bulks (request_id, organization_id, connection_id, created_at, updated_at) VALUES ('req_none', '$org', '$connection', 1, 1)`,
	"an unknown state of a task":            `UPDATE outbox SET state = 'done'`,
	"a negative balance":                    `UPDATE balances SET balance = -1`,
	"a consent of another's user":           `INSERT INTO consents (user_id, channel, organization_id, status, source, stated_at, updated_at) SELECT user_id, 'email', 'org_other', 'subscribed', 'api', 1, 1 FROM requests`,
	"a balance of no organization":          `INSERT INTO balances (organization_id) VALUES ('org_none')`,
	"a free charge":                         `INSERT INTO ledger (id, organization_id, kind, amount, request_id, balance_after, created_at) VALUES ('led_1', '$org', 'charge', 0, 'req_2', 1, 1)`,
	"a positive charge":                     `INSERT INTO ledger (id, organization_id, kind, amount, request_id, balance_after, created_at) VALUES ('led_1', '$org', 'charge', 1, 'req_2', 1, 1)`,
	"a charge of two":                       `INSERT INTO ledger (id, organization_id, kind, amount, request_id, balance_after, created_at) VALUES ('led_1', '$org', 'charge', -2, 'req_2', 1, 1)`,
	"a charge for nothing":                  `INSERT INTO ledger (id, organization_id, kind, amount, balance_after, created_at) VALUES ('led_1', '$org', 'charge', -1, 1, 1)`,
	"a second charge for a request":         `INSERT INTO ledger (id, organization_id, kind, amount, request_id, balance_after, created_at) VALUES ('led_1', '$org', 'charge', -1, '$req', 1, 1)`,
	"a negative top-up":                     `INSERT INTO ledger (id, organization_id, kind, amount, balance_after, created_at) VALUES ('led_1', '$org', 'top_up', -1, 1, 1)`,
	"an unknown kind of entry":              `INSERT INTO ledger (id, organization_id, kind, amount, balance_after, created_at) VALUES ('led_1', '$org', 'gift', 1, 1, 1)`,
	"a negative balance after an entry":     `INSERT INTO ledger (id, organization_id, kind, amount, balance_after, created_at) VALUES ('led_1', '$org', 'top_up', 1, -1, 1)`,
	"a changed line of the ledger":          `UPDATE ledger SET amount = amount`,
	"a line taken from the ledger":          `DELETE FROM ledger`,
	"a second message with one number":      `INSERT INTO messages (id, organization_id, type, sequence, body, created_at) VALUES ('msg_other', '$org', 'test', 1, '', 1)`,
	"a second delivery to one endpoint":     `INSERT INTO deliveries (id, organization_id, message_id, endpoint_id, type, status, created_at, updated_at) VALUES ('$delx', '$org', '$msg', '$whe', 'test', 'pending', 1, 1)`,
	"a delivery under another's id":         `UPDATE deliveries SET message_id = 'msg_other'`,
	"a delivery of another endpoint":        `UPDATE deliveries SET endpoint_id = 'whe_01k00000000000000000000000'`,
	"an unknown status of a delivery":       `UPDATE deliveries SET status = 'lost'`,
	"an unknown status of an endpoint":      `UPDATE webhook_endpoints SET status = 'x'`,
	"an unknown signature":                  `UPDATE webhook_endpoints SET signing = 'x'`,
	"an endpoint of no organization":        `UPDATE webhook_endpoints SET organization_id = 'org_none'`,
	"an unknown status of a connection":     `UPDATE connections SET status = 'x'`,
	"a connection of no organization":       `UPDATE connections SET organization_id = 'org_none'`,
	"an unknown status of a push":           `UPDATE pushes SET status = 'rest'`,
	"an unknown rank of a push":             `UPDATE pushes SET rank = 3`,
	"an unknown channel":                    `INSERT INTO consents (user_id, channel, organization_id, status, source, stated_at, updated_at) SELECT id, 'post', organization_id, 'subscribed', '', 1, 1 FROM users`,
	"an unknown consent":                    `INSERT INTO consents (user_id, channel, organization_id, status, source, stated_at, updated_at) SELECT id, 'email', organization_id, 'maybe', '', 1, 1 FROM users`,
	"a consent without a time":              `INSERT INTO consents (user_id, channel, organization_id, status, source, stated_at, updated_at) SELECT id, 'email', organization_id, 'subscribed', '', 0, 1 FROM users`,
	"a consent of nobody":                   `INSERT INTO consents (user_id, channel, organization_id, status, source, stated_at, updated_at) VALUES ('user_none', 'email', '$org', 'subscribed', '', 1, 1)`,
	"a signal of no connection":             `INSERT INTO signals (connection_id, id, organization_id, channel, status, stated_at, created_at) VALUES ('con_none', 'sig_1', '$org', 'email', 'unsubscribed', 1, 1)`,
	"an unknown signal":                     `INSERT INTO signals (connection_id, id, organization_id, channel, status, stated_at, created_at) VALUES ('$connection', 'sig_1', '$org', 'email', 'unknown', 1, 1)`,
	"an address of no connection":           `INSERT INTO inbounds (connection_id, organization_id, hash, created_at) VALUES ('con_none', '$org', '', 1)`,
	"an unknown status of an organization":  `UPDATE organizations SET status = 'x'`,
	"an organization taken from its rows":   `DELETE FROM organizations`,
	"an unknown mode of waiting for a push": `INSERT INTO push_waits (connection_id, user_id, request_id, organization_id, position, mode, version, created_at) VALUES ('$connection', 'user_1', '$req', '$org', 0, 'x', 1, 1)`,
	"an unknown status of an import":        `INSERT INTO imports (id, organization_id, status, format, actor, created_at, updated_at) VALUES ('imp_1', '$org', 'x', 'csv', '', 1, 1)`,
	"an unknown format of an import":        `INSERT INTO imports (id, organization_id, status, format, actor, created_at, updated_at) VALUES ('imp_1', '$org', 'queued', 'xls', '', 1, 1)`,
	"lines of no import":                    `INSERT INTO import_chunks (import_id, number, body) VALUES ('imp_none', 1, '')`,
	"an erasure of no organization":         `INSERT INTO erasures (id, organization_id, user_id, status, created_at) VALUES ('era_1', 'org_none', '', 'running', 1)`,
	"an unknown status of an erasure":       `INSERT INTO erasures (id, organization_id, user_id, status, created_at) VALUES ('era_1', '$org', '', 'x', 1)`,
	"an unknown status of a colleague":      `INSERT INTO colleagues (id, organization_id, email_key, email, status, created_at, updated_at) VALUES ('tbi_1', '$org', 'a', 'a', 'x', 1, 1)`,
	"an unknown status of a follow-up":      `INSERT INTO follow_ups (id, organization_id, name, status, definition, version, created_at, updated_at) VALUES ('fup_1', '$org', 'x', 'x', '{}', 1, 1, 1)`,
	"a follow-up of no organization":        `INSERT INTO follow_ups (id, organization_id, name, status, definition, version, created_at, updated_at) VALUES ('fup_1', 'org_none', 'x', 'active', '{}', 1, 1, 1)`,
	"a version of no follow-up":             `INSERT INTO follow_up_versions (follow_up_id, version, organization_id, definition, actor, created_at) VALUES ('fup_none', 1, '$org', '{}', '', 1)`,
	"an unknown fault of a bulk":            `INSERT INTO bulk_errors (request_id, user_id, organization_id, status, code, message, created_at) VALUES ('$req', 'user_1', '$org', 'x', '', '', 1)`,
}

// What must not be is refused however it is written: through the pool that the service
// writes by, too.
func TestSchemaRefusesWhatMustNotBe(t *testing.T) {
	t.Parallel()
	roomtest.Engines(t, func(t *testing.T, s *store.Store, db *sql.DB) {
		names := furnished(t, s, db)
		for what, text := range refused {
			err := s.Tx(t.Context(), func(tx *store.Tx) error { return tx.GORM().Exec(names.Replace(text)).Error })
			if !store.IsData(err) {
				t.Errorf("%s: %v", what, err)
			}
		}
		for table, want := range map[string]int{"ledger": 2, "steps": 1, "messages": 1, "deliveries": 1} {
			if got := roomtest.Count(t, db, `SELECT count(*) FROM `+table); got != want {
				t.Errorf("%d rows in %s, want %d", got, table, want)
			}
		}
	})
}

// An upload that is removed leaves no lines behind, also those that came late.
func TestAnImportIsRemovedWithItsLines(t *testing.T) {
	t.Parallel()
	roomtest.Engines(t, func(t *testing.T, s *store.Store, db *sql.DB) {
		names := furnished(t, s, db)
		for _, text := range []string{
			`INSERT INTO imports (id, organization_id, status, format, actor, created_at, updated_at) VALUES ('imp_1', '$org', 'receiving', 'csv', '', 1, 1)`,
			`INSERT INTO import_chunks (import_id, number, body) VALUES ('imp_1', 1, '')`,
			`INSERT INTO import_errors (import_id, line, position, field, message) VALUES ('imp_1', 1, 1, '', '')`,
		} {
			roomtest.Execute(t, db, names.Replace(text))
		}
		err := s.Tx(t.Context(), func(tx *store.Tx) error { return tx.GORM().Exec(`DELETE FROM imports`).Error })
		if left := roomtest.Count(t, db, `SELECT (SELECT count(*) FROM import_chunks) + (SELECT count(*) FROM import_errors)`); err != nil || left != 0 {
			t.Errorf("%d rows are left, %v", left, err)
		}
	})
}

func TestAReadOnlyStoreRefusesToWrite(t *testing.T) {
	t.Parallel()
	for _, engine := range []string{"sqlite", "postgres"} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			o := storetest.Options(t, engine)
			s := storetest.Open(t, o)
			furnished(t, s, roomtest.SQLOf(t, o))
			o.ReadOnly = true
			reader := storetest.Open(t, o)
			err := reader.Tx(t.Context(), func(tx *store.Tx) error { return tx.GORM().Exec(`DELETE FROM deliveries`).Error })
			if err == nil || !regexp.MustCompile(`read-?only`).MatchString(err.Error()) {
				t.Errorf("it has written: %v", err)
			}
		})
	}
}
