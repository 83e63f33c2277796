package verify

import (
	"context"
	"fmt"

	"usersync/internal/store"
)

// Left is work that is not done yet. Once nothing is asked of the service any more,
// there is none of it.
type Left struct {
	Name  string
	Count int64
}

// Each connection keeps one task, which waits for the next push.
var leftStatements = []struct {
	name      string
	statement *store.Statement
}{
	{"tasks", store.Define("verify.leftTasks", `SELECT count(*) FROM outbox WHERE kind <> 'platform.push'`)},
	{"tasks of connections that are under way", store.Define("verify.leftPushTasks",
		`SELECT count(*) FROM outbox WHERE kind = 'platform.push' AND (state <> 'scheduled' OR claim_token <> '')`)},
	{"steps that wait for a push", store.Define("verify.leftWaits", `SELECT count(*) FROM push_waits`)},
	{"pushes that are due or under way", store.Define("verify.leftPushes", `SELECT count(*) FROM pushes WHERE status <> 'idle' OR due_at <> 0`)},
	{"requests without an end", store.Define("verify.leftRequests", `SELECT count(*) FROM requests WHERE finished_at = 0`)},
	{"deliveries without an end", store.Define("verify.leftDeliveries", `SELECT count(*) FROM deliveries WHERE status NOT IN ('delivered', 'failed')`)},
	{"erasures without an end", store.Define("verify.leftErasures", `SELECT count(*) FROM erasures WHERE finished_at = 0`)},
}

// AllLeft counts what is left to do.
func AllLeft(ctx context.Context, s *store.Store) ([]Left, error) {
	out := make([]Left, len(leftStatements))
	//lint:loop one statement for each sort of work
	for i, l := range leftStatements {
		out[i].Name = l.name
		if err := s.Reader().QueryRow(ctx, l.statement).Scan(&out[i].Count); err != nil {
			return nil, fmt.Errorf("count the %s: %w", l.name, store.Classify(err))
		}
	}
	return out, nil
}
