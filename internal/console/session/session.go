// Package session keeps who is signed in to the console: a row for each session, found by
// the hash of what the cookie says, and sealed.
package session

import (
	"context"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"github.com/alexedwards/scs/v2"

	"usersync/internal/store"
)

// Lifetime is how long a session lasts. It ends earlier when its key does, and when the
// viewer signs out.
const Lifetime = 12 * time.Hour

// NewManager returns what makes and finds sessions in the database.
func NewManager(s *store.Store) *scs.SessionManager {
	m := scs.New()
	m.Lifetime = Lifetime
	m.HashTokenInStore = true
	m.Store = rows{s}
	return m
}

// rows are the table of sessions as scs wants it.
type rows struct{ store *store.Store }

var (
	findStatement  = store.Define("session.find", `SELECT data FROM console_sessions WHERE token_hash = $1 AND expires_at > {now}`)
	writeStatement = store.Define("session.write", `
INSERT INTO console_sessions (token_hash, data, expires_at) VALUES ($1, $2, {now} + $3)
ON CONFLICT (token_hash) DO UPDATE SET data = excluded.data, expires_at = excluded.expires_at`)
	deleteStatement = store.Define("session.delete", `DELETE FROM console_sessions WHERE token_hash = $1`)
	// sweepStatement removes what has ended. Whoever signs in or acts sweeps, since there are
	// rows only where people sign in.
	sweepStatement = store.Define("session.sweep", `DELETE FROM console_sessions WHERE expires_at <= {now}`)
)

// sessionPlace names where the data of a session is sealed for.
func sessionPlace(hash string) string { return "console_sessions/" + hash + "/data" }

// FindCtx returns the data of a session that has not ended. One that was sealed with a key
// that is no longer there counts as ended.
func (r rows) FindCtx(ctx context.Context, hash string) (data []byte, found bool, err error) {
	var sealed string
	err = r.store.Reader().QueryRow(ctx, findStatement, hash).Scan(&sealed)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("find the session: %w", err)
	}
	text, err := r.store.Sealer().Open(sealed, sessionPlace(hash))
	if err != nil {
		return nil, false, nil
	}
	data, err = base64.StdEncoding.DecodeString(string(text))
	return data, err == nil, nil
}

// CommitCtx writes the data of a session.
func (r rows) CommitCtx(ctx context.Context, hash string, data []byte, expiry time.Time) error {
	sealed, err := r.store.Sealer().Seal([]byte(base64.StdEncoding.EncodeToString(data)), sessionPlace(hash))
	if err != nil {
		return fmt.Errorf("seal the session: %w", err)
	}
	return r.store.Tx(ctx, func(tx *store.Tx) error {
		if _, err := tx.Exec(ctx, sweepStatement, nil); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, writeStatement, nil, hash, sealed, time.Until(expiry).Microseconds())
		return err
	})
}

// DeleteCtx ends a session.
func (r rows) DeleteCtx(ctx context.Context, hash string) error {
	return r.store.Tx(ctx, func(tx *store.Tx) error {
		_, err := tx.Exec(ctx, deleteStatement, nil, hash)
		return err
	})
}

// Find is FindCtx for a caller without a context, of which scs has none here.
func (r rows) Find(hash string) ([]byte, bool, error) { return r.FindCtx(context.Background(), hash) }

// Commit is CommitCtx for a caller without a context.
func (r rows) Commit(hash string, data []byte, expiry time.Time) error {
	return r.CommitCtx(context.Background(), hash, data, expiry)
}

// Delete is DeleteCtx for a caller without a context.
func (r rows) Delete(hash string) error { return r.DeleteCtx(context.Background(), hash) }
