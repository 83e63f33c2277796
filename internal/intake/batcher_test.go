package intake_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"usersync/internal/idempotency"
	"usersync/internal/intake"
	"usersync/internal/roomtest"
	"usersync/internal/store"
	"usersync/internal/store/storetest"
	"usersync/internal/telemetry"
	"usersync/internal/usersync"
)

// patience is how long a test waits for what must come.
const patience = 30 * time.Second

// newBatcher returns a batcher that does not run yet.
func newBatcher(s *store.Store, maxWaiting int) *intake.Batcher {
	return intake.New(intake.Options{Store: s, Metrics: telemetry.NewMetrics(), Log: slog.New(slog.DiscardHandler), MaxWaiting: maxWaiting})
}

// run runs a batcher until stop is called or the test ends. stop returns when the
// batcher has ended.
func run(t *testing.T, b *intake.Batcher) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		b.Run(ctx)
	}()
	stop = func() {
		cancel()
		<-ended
	}
	t.Cleanup(stop)
	return stop
}

// handIn hands a submission in and leaves: it is handed in when handIn returns.
func handIn(t *testing.T, b *intake.Batcher, sub *intake.Submission) {
	t.Helper()
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if err := b.Submit(gone, sub); !errors.Is(err, context.Canceled) {
		t.Fatalf("a caller that has gone got %v", err)
	}
}

// eventually waits until a condition holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !holds(); {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not in %v", what, patience)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// people returns n requests, each of another new user.
func people(n roomtest.Tenant, name string, count int) []*intake.Acceptance {
	items := make([]*intake.Acceptance, count)
	for i := range items {
		items[i] = n.Acceptance(fmt.Sprintf("%s%d@acme.example", name, i))
	}
	return items
}

// checkStored fails the test unless exactly these numbers of rows are stored.
func checkStored(t *testing.T, db *sql.DB, requests, users, tasks int) {
	t.Helper()
	r, u, o := roomtest.Count(t, db, `SELECT count(*) FROM requests`), roomtest.Count(t, db, `SELECT count(*) FROM users`), roomtest.Count(t, db, `SELECT count(*) FROM outbox`)
	if r != requests || u != users || o != tasks {
		t.Fatalf("%d requests, %d users and %d tasks are stored, want %d, %d and %d", r, u, o, requests, users, tasks)
	}
}

// commits returns how many requests each commit took, in their order.
func commits(t *testing.T, db *sql.DB) (sizes []int) {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), `SELECT count(*) FROM requests GROUP BY (sequence - 1) / 4096 ORDER BY min(sequence)`)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var n int
		if err := rows.Scan(&n); err != nil {
			t.Fatal(err)
		}
		sizes = append(sizes, n)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return sizes
}

func TestWhateverCallOfACommitBreaksItAcceptsOnce(t *testing.T) {
	t.Parallel()
	for _, engine := range []string{"sqlite", "postgres"} {
		for _, keyed := range []bool{false, true} {
			for _, late := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s, key %v, answer lost %v", engine, keyed, late), func(t *testing.T) {
					t.Parallel()
					breakEachCall(t, engine, keyed, late)
				})
			}
		}
	}
}

// breakEachCall breaks the connection at the first call of a commit, at the second
// of the next commit, and so on.
func breakEachCall(t *testing.T, engine string, keyed, late bool) {
	t.Helper()
	breaker := &storetest.Breaker{}
	o := storetest.Options(t, engine)
	o.Wrap = breaker.Wrap
	db := roomtest.SQLOf(t, o)
	n := roomtest.New(t, storetest.Open(t, o), 1)
	b := newBatcher(n.Store, 10)
	run(t, b)
	var broken []string
	for call := 1; ; call++ {
		sub := n.Submission(n.Acceptance(fmt.Sprintf("u%d@acme.example", call)))
		if keyed {
			sub.Idempotency = &idempotency.Key{Scope: "POST /x", Key: fmt.Sprint(call), BodyHash: "h"}
		}
		id := sub.Items[0].RequestID
		breaker.Arm(call, late)
		err := b.Submit(t.Context(), sub)
		what := breaker.Disarm()
		if err != nil || sub.Replayed || len(sub.Accepted) != 1 || sub.Accepted[0].RequestID != id || sub.Accepted[0].UserID == "" {
			t.Fatalf("broken at call %d (%s): %v, accepted %v, replayed %v", call, what, err, sub.Accepted, sub.Replayed)
		}
		checkStored(t, db, call, call, call)
		if what == "" {
			break
		}
		broken = append(broken, what)
	}
	// The commit is a call of its own, but for a single statement of PostgreSQL.
	last := broken[len(broken)-1]
	if ends := strings.Contains(last, "INSERT INTO requests"); last != "COMMIT" && (engine != "postgres" || keyed || !ends) {
		t.Errorf("the last call that broke is %q", last)
	}
}

func TestAFullBatcherRefusesUntilThereIsRoom(t *testing.T) {
	t.Parallel()
	roomtest.Engines(t, func(t *testing.T, s *store.Store, db *sql.DB) {
		n := roomtest.New(t, s, 1)
		b := newBatcher(s, 3)
		handIn(t, b, n.Submission(people(n, "a", 2)...))
		refused := b.Submit(t.Context(), n.Submission(people(n, "b", 2)...))
		handIn(t, b, n.Submission(people(n, "c", 1)...)) // the refused one has left its room
		for _, err := range []error{refused, b.Submit(t.Context(), n.Submission(people(n, "d", 1)...))} {
			e := usersync.AsError(err)
			if e == nil || e.Code != usersync.CodeUnavailable || e.RetryAfter != time.Second {
				t.Fatalf("a full batcher answered %v", err)
			}
		}
		run(t, b)
		all := people(n, "e", 3)
		eventually(t, "all room is free again", func() bool {
			err := b.Submit(t.Context(), n.Submission(all...))
			if err != nil && !errors.Is(err, intake.ErrFull) {
				t.Fatal(err)
			}
			return err == nil
		})
		if stored := roomtest.Count(t, db, `SELECT count(*) FROM requests`); stored != 6 {
			t.Errorf("%d requests are stored, want 6", stored)
		}
	})
}

func TestASubmissionIsCommittedThoughItsCallerHasGone(t *testing.T) {
	t.Parallel()
	roomtest.Engines(t, func(t *testing.T, s *store.Store, db *sql.DB) {
		n := roomtest.New(t, s, 1)
		b := newBatcher(s, 10)
		run(t, b)
		handIn(t, b, n.Submission(people(n, "a", 2)...))
		eventually(t, "the submission is stored", func() bool { return roomtest.Count(t, db, `SELECT count(*) FROM requests`) == 2 })
	})
}

func TestWhatWaitsAtShutdownIsCommittedAndTheRestRefused(t *testing.T) {
	t.Parallel()
	roomtest.Engines(t, func(t *testing.T, s *store.Store, db *sql.DB) {
		n := roomtest.New(t, s, 1)
		b := newBatcher(s, 2000)
		const waiting = 5
		for i := range waiting {
			handIn(t, b, n.Submission(people(n, fmt.Sprintf("w%d-", i), 4)...))
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		b.Run(ended)
		checkRefused := func(err error) {
			t.Helper()
			if e := usersync.AsError(err); e == nil || e.Code != usersync.CodeUnavailable || e.RetryAfter != time.Second {
				t.Fatalf("after the shutdown: %v", err)
			}
		}
		for i := range 20 {
			checkRefused(b.Submit(t.Context(), n.Submission(people(n, fmt.Sprintf("late%d-", i), 1)...)))
		}
		if stored := roomtest.Count(t, db, `SELECT count(*) FROM requests`); stored != waiting*4 {
			t.Errorf("%d requests are stored, want %d", stored, waiting*4)
		}
	})
}

// Callers that submit while the batcher stops learn the truth, each of them.
func TestAtShutdownACallerIsToldExactlyWhatWasStored(t *testing.T) {
	t.Parallel()
	roomtest.Engines(t, func(t *testing.T, s *store.Store, db *sql.DB) {
		n := roomtest.New(t, s, 1)
		b := newBatcher(s, 1000)
		stop := run(t, b)
		var mu sync.Mutex
		var accepted []string
		var callers sync.WaitGroup
		for c := range 8 {
			callers.Go(func() {
				for i := 0; ; i++ {
					sub := n.Submission(n.Acceptance(fmt.Sprintf("u%d-%d@acme.example", c, i)))
					err := b.Submit(context.Background(), sub)
					if err != nil {
						if usersync.CodeOf(err) != usersync.CodeUnavailable {
							t.Error(err)
						}
						return
					}
					mu.Lock()
					accepted = append(accepted, sub.Items[0].RequestID)
					mu.Unlock()
				}
			})
		}
		eventually(t, "callers are served", func() bool {
			mu.Lock()
			defer mu.Unlock()
			return len(accepted) > 20
		})
		stop()
		callers.Wait()
		stored := requestIDs(t, db)
		slices.Sort(accepted)
		if !slices.Equal(stored, accepted) {
			t.Errorf("%d requests are stored, callers were told of %d", len(stored), len(accepted))
		}
	})
}

// requestIDs returns the ids of the stored requests, sorted.
func requestIDs(t *testing.T, db *sql.DB) (ids []string) {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), `SELECT id FROM requests`)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	slices.Sort(ids)
	return ids
}

func TestASubmissionThatCannotBeStoredFailsAlone(t *testing.T) {
	t.Parallel()
	roomtest.Engines(t, func(t *testing.T, s *store.Store, db *sql.DB) {
		n := roomtest.New(t, s, 1)
		name := "\x00" // PostgreSQL stores no NUL in a text
		if s.Embedded() {
			// SQLite stores any text, so a trigger refuses this one.
			name = "refused"
			roomtest.Execute(t, db, `CREATE TRIGGER refuse BEFORE INSERT ON users WHEN new.first_name = 'refused' BEGIN SELECT raise(ABORT, 'refused'); END`)
		}
		b := newBatcher(s, 100)
		const callers = 11
		guilty := rand.IntN(callers)
		outcomes := make([]error, callers)
		var all sync.WaitGroup
		release := lock(t, db, s)
		for i := range outcomes {
			a := n.Acceptance(fmt.Sprintf("u%d@acme.example", i))
			if i == guilty {
				a.User.FirstName = name
			}
			all.Go(func() { outcomes[i] = b.Submit(context.Background(), n.Submission(a)) })
		}
		run(t, b)
		release()
		all.Wait()
		for i, err := range outcomes {
			if i == guilty && !store.IsData(err) || i != guilty && err != nil {
				t.Errorf("caller %d got %v, the guilty one is %d", i, err, guilty)
			}
		}
		if stored := roomtest.Count(t, db, `SELECT count(*) FROM requests`); stored != callers-1 {
			t.Errorf("%d requests are stored, want %d", stored, callers-1)
		}
	})
}

// lock keeps commits from ending until it is released.
func lock(t *testing.T, db *sql.DB, s *store.Store) (release func()) {
	t.Helper()
	c, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	statements := []string{`BEGIN`, `LOCK TABLE requests IN SHARE MODE`}
	if s.Embedded() {
		statements = []string{`BEGIN IMMEDIATE`}
	}
	for _, statement := range statements {
		if _, err := c.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	release = sync.OnceFunc(func() {
		_, err := c.ExecContext(context.Background(), `ROLLBACK`)
		if err := errors.Join(err, c.Close()); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(release)
	return release
}

func TestWhatArrivesWhileACommitRunsIsCommittedTogether(t *testing.T) {
	t.Parallel()
	roomtest.Engines(t, func(t *testing.T, s *store.Store, db *sql.DB) {
		n := roomtest.New(t, s, 1)
		b := newBatcher(s, 100)
		const waiting = 30
		release := lock(t, db, s)
		run(t, b)
		for _, a := range people(n, "u", waiting) {
			handIn(t, b, n.Submission(a))
		}
		release()
		eventually(t, "all are stored", func() bool { return roomtest.Count(t, db, `SELECT count(*) FROM requests`) == waiting })
		// The first commit has what came before it began, the second all the rest.
		if sizes := commits(t, db); len(sizes) > 2 {
			t.Errorf("commits of %v", sizes)
		}
	})
}

// PostgreSQL alone: the engines differ in nothing here, and SQLite takes 20 s for the
// rows under the race detector.
func TestACommitTakes500RequestsAtMost(t *testing.T) {
	t.Parallel()
	s, db := roomtest.OpenWithSQL(t, "postgres")
	n := roomtest.New(t, s, 1)
	b := newBatcher(s, 2000)
	for _, a := range people(n, "u", 1200) {
		handIn(t, b, n.Submission(a))
	}
	run(t, b)()
	if sizes := commits(t, db); !slices.Equal(sizes, []int{500, 500, 200}) {
		t.Errorf("commits of %v", sizes)
	}
}
