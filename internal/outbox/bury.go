package outbox

import (
	"context"

	"usersync/internal/store"
	"usersync/internal/usersync"
)

// newToken returns the token of a new claim: it tells the number of the process that
// claims, where that is seen to live.
func newToken(attending string) string {
	token := usersync.NewID(usersync.PrefixClaim)
	if attending == "" {
		return token
	}
	return token + "." + attending
}

// absentStatement reads the processes that hold claims and are not seen to live. Nobody is
// absent while the one that asks cannot see itself: then it cannot see others either.
var absentStatement = store.DefinePerEngine("outbox.absent", `
WITH attending AS MATERIALIZED (`+store.AttendingNumbers+`)
SELECT DISTINCT split_part(claim_token, '.', 2) FROM outbox
WHERE state = 'sent' AND claimed_until > {now} AND split_part(claim_token, '.', 2) <> ''
  AND split_part(claim_token, '.', 2) NOT IN (SELECT * FROM attending) AND $1 IN (SELECT * FROM attending)`, "")

// Absent returns the numbers of the processes that hold claims and do not attend, as
// this process sees it; see store.Store.Attend. On SQLite there are none.
func Absent(ctx context.Context, s *store.Store) ([]string, error) {
	own := s.AsyncCommit().Attending()
	if own == "" {
		return nil, nil
	}
	return store.Collect(ctx, s.AsyncCommit(), absentStatement, nil, store.ScanString, own)
}

var buryStatement = store.DefinePerEngine("outbox.bury", `
UPDATE outbox SET claimed_until = {now}, look_at = {now} WHERE id {any}
    SELECT id FROM outbox WHERE state = 'sent' AND claimed_until > {now} AND split_part(claim_token, '.', 2) = $1
    ORDER BY id {skip locked}{/any}`, "")

// Bury ends the claims of a process that has died: Revive brings their tasks back. Where
// it lives all the same it has lost them, as any that have run out, and writes nothing.
func Bury(ctx context.Context, s *store.Store, number string) (int64, error) {
	return s.AsyncCommit().Exec(ctx, buryStatement, nil, number)
}
