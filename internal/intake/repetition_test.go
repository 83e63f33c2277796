package intake_test

import (
	"database/sql"
	"errors"
	"fmt"
	"testing"

	"usersync/internal/idempotency"
	"usersync/internal/intake"
	"usersync/internal/roomtest"
	"usersync/internal/store/storetest"
	"usersync/internal/usersync"
)

// gates are what closes the door between a commit whose answer is lost and its
// repetition, what opens it again, and what the door then says.
var gates = []struct {
	name, shut, open string
	refusal          error
}{
	{"the credits are spent", `UPDATE balances SET balance = 0`, `UPDATE balances SET balance = 1`, intake.ErrNoCredits},
	{"the key is revoked", `UPDATE api_keys SET revoked_at = 1`, `UPDATE api_keys SET revoked_at = 0`, intake.ErrInvalidKey},
	{"the organization is disabled", `UPDATE organizations SET status = 'disabled'`, `UPDATE organizations SET status = 'active'`, intake.ErrInvalidOrganization},
}

// Whichever call of a commit lost its answer: what is stored is accepted, though the door
// is shut by now, and what is not stored is refused.
func TestARepetitionIsAnsweredByWhatIsStored(t *testing.T) {
	t.Parallel()
	for _, engine := range []string{"sqlite", "postgres"} {
		for _, keyed := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, key %v", engine, keyed), func(t *testing.T) {
				t.Parallel()
				breaker := &storetest.Breaker{}
				o := storetest.Options(t, engine)
				o.Wrap = breaker.Wrap
				r := &repetition{breaker: breaker, db: roomtest.SQLOf(t, o), tenant: roomtest.New(t, storetest.Open(t, o), 1), keyed: keyed}
				for g := range gates {
					r.loseEachAnswer(t, g)
				}
			})
		}
	}
}

type repetition struct {
	breaker *storetest.Breaker
	db      *sql.DB
	tenant  roomtest.Tenant
	keyed   bool
}

func (r *repetition) loseEachAnswer(t *testing.T, g int) {
	t.Helper()
	stored := 0
	for call := 1; ; call++ {
		sub := r.tenant.Submission(people(r.tenant, fmt.Sprintf("g%dc%d-", g, call), 2)...)
		if r.keyed {
			sub.Idempotency = &idempotency.Key{Scope: "POST /x", Key: fmt.Sprint(g, call), BodyHash: "h"}
		}
		r.breaker.Arm(call, true)
		err := intake.AcceptPlanned(t.Context(), r.tenant.Store, []*intake.Submission{sub}, roomtest.Plan)
		what := r.breaker.Disarm()
		if what == "" {
			break
		}
		if usersync.CodeOf(err) != usersync.CodeUnavailable {
			t.Fatalf("the answer to %s was lost: %v", what, err)
		}
		is := roomtest.Count(t, r.db, `SELECT count(*) FROM requests WHERE id = '`+sub.Items[1].RequestID+`'`)
		stored += is
		roomtest.Execute(t, r.db, gates[g].shut)
		r.tenant.Accept(t, sub)
		roomtest.Execute(t, r.db, gates[g].open)
		switch {
		case is == 0 && (sub.Err == nil || !errors.Is(sub.Err, gates[g].refusal)):
			t.Errorf("%s: nothing is stored after %s, and the answer is %v", gates[g].name, what, sub.Err)
		case is == 1 && (sub.Err != nil || sub.Replayed || len(sub.Accepted) != 2 || sub.Accepted[1].UserID == ""):
			t.Errorf("%s: the requests are stored after %s, and the answer is %v, replayed %v, accepted %v", gates[g].name, what, sub.Err, sub.Replayed, sub.Accepted)
		}
	}
	if stored == 0 {
		t.Error("no call that lost its answer had stored the requests")
	}
}
