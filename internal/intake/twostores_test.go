package intake_test

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"usersync/internal/intake"
	"usersync/internal/roomtest"
	"usersync/internal/store/storetest"
)

// Two stores of one database stand for two processes. SQLite has one process, but
// two stores of its file keep the rule too.
func TestTwoProcessesAgreeOnTheNewUsersOfAnySubmissions(t *testing.T) {
	t.Parallel()
	for _, engine := range []string{"sqlite", "postgres"} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			o := storetest.Options(t, engine)
			db := roomtest.SQLOf(t, o)
			n := roomtest.New(t, storetest.Open(t, o), 1)
			batchers := []*intake.Batcher{newBatcher(n.Store, 1000), newBatcher(storetest.Open(t, o), 1000)}
			for _, b := range batchers {
				run(t, b)
			}
			seed := rand.Uint64()
			for round := range uint64(5) {
				acceptAtOnce(t, db, n, batchers, rand.New(rand.NewPCG(seed, round)), round)
			}
			if t.Failed() {
				t.Logf("the seed is %d", seed)
			}
		})
	}
}

// acceptAtOnce hands random submissions about the same few new people to all
// batchers at once, and checks who was stored.
func acceptAtOnce(t *testing.T, db *sql.DB, n roomtest.Tenant, batchers []*intake.Batcher, r *rand.Rand, round uint64) {
	t.Helper()
	var items []*intake.Acceptance
	var callers sync.WaitGroup
	begin := make(chan struct{})
	for i := range 12 {
		mine := make([]*intake.Acceptance, 1+r.IntN(6))
		for j := range mine {
			mine[j] = n.Acceptance(fmt.Sprintf("r%d-u%d@acme.example", round, r.IntN(10)))
		}
		items = append(items, mine...)
		callers.Go(func() {
			<-begin
			if err := batchers[i%len(batchers)].Submit(context.Background(), n.Submission(mine...)); err != nil {
				t.Error(err)
			}
		})
	}
	close(begin)
	callers.Wait()
	users := map[string]string{} // ids by address
	for _, a := range items {
		address := a.User.Email.Key()
		if id, known := users[address]; a.UserID == "" || known && id != a.UserID {
			t.Errorf("a request of %s got the user %q, another %q", address, a.UserID, id)
		}
		users[address] = a.UserID
	}
	like := fmt.Sprintf("r%d-%%", round)
	if stored := roomtest.Count(t, db, `SELECT count(*) FROM users WHERE email_key LIKE '`+like+`'`); stored != len(users) {
		t.Errorf("%d users are stored, want %d", stored, len(users))
	}
	owned := roomtest.Count(t, db, `SELECT count(*) FROM requests q JOIN users u ON u.organization_id = q.organization_id AND u.id = q.user_id AND u.email_key = q.email WHERE q.email LIKE '`+like+`'`)
	if owned != len(items) {
		t.Errorf("%d requests name their owner, want %d", owned, len(items))
	}
}
