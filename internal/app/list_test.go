package app_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"usersync/internal/app"
	"usersync/internal/app/apptest"
)

// TestListOfLargeUsersComesInSmallAnswers lists users whose attributes are as large as
// a call may make them, by the largest limit: each answer is about 1 MiB, and the
// cursors lead to every user once. The requests about them are listed in the same way.
func TestListOfLargeUsersComesInSmallAnswers(t *testing.T) {
	t.Parallel()
	const users, bound = 40, 1<<20 + 1<<10
	apptest.Each(t, func(t *testing.T, e *apptest.Environment) {
		a := e.Start(t, app.All)
		s := &stage{env: e, app: a, client: a.Client(t)}
		p := s.begin(t, "large")
		p.giveCredits(t, []string{"100"})
		attributes := make([]string, 16)
		for i := range attributes {
			attributes[i] = fmt.Sprintf(`"a%d":"%s"`, i, strings.Repeat("x", 4000))
		}
		header := http.Header{"X-Api-Key": {p.vars["key"]}, "Content-Type": {"application/json"}}
		for i := range users {
			body := fmt.Sprintf(`{"user":{"email":"u%d@example.com","country":"US","attributes":{%s}}}`, i, strings.Join(attributes, ","))
			if got := s.client.Do(t, apptest.Call{Method: http.MethodPost, Path: "/v1/user-sync", Header: header, Body: []byte(body)}); got.Status != http.StatusAccepted {
				t.Fatalf("%d %s", got.Status, got.Body)
			}
		}
		customer{app: a}.quiet(t)
		for _, path := range []string{"/v1/users", "/v1/requests", "/v1/events"} {
			found, calls := map[string]bool{}, 0
			for cursor := ""; calls == 0 || cursor != ""; calls++ {
				got := s.client.Do(t, apptest.Call{Method: http.MethodGet, Path: path + "?limit=500&cursor=" + cursor, Header: header})
				var page struct {
					Items      []struct{ ID, RequestID string }
					NextCursor string
				}
				must(t, json.Unmarshal(got.Body, &page))
				if len(got.Body) > bound || len(page.Items) == 0 {
					t.Errorf("%s: %d items in %d bytes", path, len(page.Items), len(got.Body))
				}
				for _, item := range page.Items {
					found[item.ID+item.RequestID] = true
				}
				cursor = page.NextCursor
			}
			if path != "/v1/events" && len(found) != users || path == "/v1/users" && calls < 3 {
				t.Errorf("%s: %d of %d in %d calls", path, len(found), users, calls)
			}
		}
	})
}
