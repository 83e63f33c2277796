package request_test

import (
	"database/sql"
	"regexp"
	"slices"
	"strings"
	"testing"

	"usersync/internal/request"
	"usersync/internal/roomtest"
	"usersync/internal/store"
	"usersync/internal/user"
	"usersync/internal/usersync"
)

// The connections that steps are made for. The second one is of another organization.
const (
	ownConnection   = "con_00000000000000000000000001"
	otherConnection = "con_00000000000000000000000002"
)

// stepped gives requests a step each at a connection, of which every third went wrong.
func stepped(t *testing.T, n roomtest.Tenant, db *sql.DB, all []listed, connection string) (wrong []listed) {
	t.Helper()
	for i, q := range all {
		code := ""
		if i%3 == 0 {
			code, wrong = "rejected", append(wrong, q)
		}
		roomtest.Execute(t, db, `INSERT INTO steps (request_id, position, organization_id, name, platform, connection_id, status, error_code, updated_at)
VALUES ($1, 1, $2, 'platform', 'http', $3, 'synced', $4, 1)`, q.id, n.Organization.ID, connection, code)
	}
	return wrong
}

func idsOf(all []listed, want func(listed) bool) []string {
	ids := []string{}
	for _, q := range all {
		if want(q) {
			ids = append(ids, q.id)
		}
	}
	return ids
}

func TestListsByConnectionAndCodeShowWhatTheFiltersLetThrough(t *testing.T) {
	t.Parallel()
	roomtest.Engines(t, func(t *testing.T, s *store.Store, db *sql.DB) {
		n, other := roomtest.New(t, s, 1), roomtest.New(t, s, 1)
		stepped(t, other, db, ofEverySort(t, other, db), otherConnection)
		all := ofEverySort(t, n, db)
		// A request that is queued has no steps.
		steps := slices.DeleteFunc(slices.Clone(all), func(q listed) bool { return q.status == request.Queued || q.id < all[20].id })
		wrong := stepped(t, n, db, steps, ownConnection)
		claimed := func(q listed) bool { // by a worker, and queued in its row
			return roomtest.Count(t, db, `SELECT count(*) FROM requests WHERE status = 'queued' AND id = '`+q.id+`'`) > 0
		}
		for _, status := range append([]request.Status{""}, request.Statuses...) {
			for _, code := range []usersync.Code{"", usersync.CodeRejected, usersync.CodeUnavailable} {
				for _, connection := range []string{"", ownConnection, otherConnection} {
					f := request.Filter{Status: status, Code: code, Connection: connection, Limit: 3}
					if code == "" && connection == "" {
						continue
					}
					from := steps
					if code != "" || status == request.Failed || status == request.PartiallySucceeded {
						from = wrong
					}
					want := idsOf(from, func(q listed) bool {
						return (status == "" || q.status == status && !claimed(q)) && code != usersync.CodeUnavailable && connection != otherConnection
					})
					if got := pages(t, n, f); !slices.Equal(got, want) {
						t.Errorf("%+v: got %d %v, want %d %v", f, len(got), got, len(want), want)
					}
				}
			}
		}
	})
}

func TestListsByConnectionAndCodeReadTheIndexOfWhatTheyShow(t *testing.T) {
	t.Parallel()
	roomtest.Engines(t, func(t *testing.T, s *store.Store, db *sql.DB) {
		n := roomtest.New(t, s, 1)
		all := ofEverySort(t, n, db)
		stepped(t, n, db, all, ownConnection)
		email := usersync.NewEmail("u1@acme.example", "u1@acme.example")
		u, err := user.ByEmail(t.Context(), n.Org(n.Organization.ID), email)
		if err != nil {
			t.Fatal(err)
		}
		succeed(t, n, db, u[0].ID, 20_000)
		roomtest.Execute(t, db, `INSERT INTO steps (request_id, position, organization_id, name, platform, connection_id, status, updated_at)
SELECT id, 1, organization_id, 'platform', 'http', $1, 'synced', 1 FROM requests WHERE id LIKE 'req_01z%'`, ownConnection)
		o := n.Org(n.Organization.ID)
		for _, analysed := range []bool{false, true} {
			if analysed {
				roomtest.Execute(t, db, "ANALYZE")
			}
			for index, f := range map[string]request.Filter{
				"steps_connection": {Connection: ownConnection}, "steps_connection_wrong": {Connection: ownConnection, Status: request.Failed},
				"steps_wrong": {Code: usersync.CodeRejected}, "requests_notable": {Connection: ownConnection, Status: request.Processing},
			} {
				f.Limit = 50
				lines, err := request.ExplainSteps(t.Context(), o, f)
				plan := strings.Join(lines, "\n")
				if err != nil || !regexp.MustCompile(`(\b|_)`+index+`\b`).MatchString(plan) || roomtest.PagesOf(plan) > 400 {
					t.Errorf("%s, analysed %v: %v, %d pages\n%s", index, analysed, err, roomtest.PagesOf(plan), plan)
				}
			}
		}
	})
}
