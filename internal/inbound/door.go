package inbound

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"database/sql"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"

	"usersync/internal/audit"
	"usersync/internal/platform"
	"usersync/internal/store"
	"usersync/internal/usersync"
)

// secretSize is how many random bytes a secret address has.
const secretSize = 32

// newSecret returns a secret that stands in a path.
func newSecret() usersync.Secret {
	var bits [secretSize]byte
	_, _ = rand.Read(bits[:]) // never fails
	return usersync.NewSecret(base64.RawURLEncoding.EncodeToString(bits[:]))
}

// hashOf returns what is stored of a secret. It holds 256 random bits, so a plain hash
// cannot be reversed by trying.
func hashOf(secret usersync.Secret) string {
	sum := sha256.Sum256([]byte(secret.Reveal()))
	return hex.EncodeToString(sum[:])
}

var (
	openStatement = store.Define("inbound.open", `
INSERT INTO inbounds (connection_id, organization_id, hash, created_at) VALUES ($2, $1, $3, {now})
ON CONFLICT (connection_id) DO UPDATE SET hash = excluded.hash, created_at = excluded.created_at`)
	closeStatement = store.Define("inbound.close", `DELETE FROM inbounds WHERE connection_id = $2 AND organization_id = $1`)
	doorStatement  = store.Define("inbound.door", `
SELECT i.organization_id, i.hash FROM inbounds i JOIN connections c ON c.id = i.connection_id
WHERE i.connection_id = $1 AND c.status <> 'deleted'`)
)

// Open makes the address at which a connection's platform may call, and returns its
// secret, which is shown this once. It replaces the one that there was: calls that know
// only the old one are refused from now on.
func Open(ctx context.Context, o *store.Org, actor, connection string) (usersync.Secret, error) {
	secret := newSecret()
	err := o.Tx(ctx, func(tx *store.Tx) error {
		c, err := platform.LockConnection(ctx, tx, o.ID(), connection)
		if err != nil || c.Status == platform.ConnectionDeleted {
			return errors.Join(err, platform.ErrNoConnection)
		}
		if _, err := tx.Exec(ctx, openStatement, nil, o.ID(), connection, hashOf(secret)); err != nil {
			return fmt.Errorf("store the address: %w", err)
		}
		return audit.Record(ctx, tx, o.ID(), actor, "connection.inbound.open", connection, "inbound")
	})
	return secret, err
}

// Close takes the address away. It is a success where there was none.
func Close(ctx context.Context, o *store.Org, actor, connection string) error {
	return o.Tx(ctx, func(tx *store.Tx) error {
		c, err := platform.LockConnection(ctx, tx, o.ID(), connection)
		if err != nil || c.Status == platform.ConnectionDeleted {
			return errors.Join(err, platform.ErrNoConnection)
		}
		if _, err := tx.Exec(ctx, closeStatement, nil, o.ID(), connection); err != nil {
			return fmt.Errorf("delete the address: %w", err)
		}
		return audit.Record(ctx, tx, o.ID(), actor, "connection.inbound.close", connection, "inbound")
	})
}

// ErrNoDoor is the refusal of an address that leads nowhere: an unknown connection, one
// without an address, or a wrong secret. A caller cannot tell which.
var ErrNoDoor = usersync.Errorf(usersync.CodeNotFound, "Not found")

// Knock returns the organization whose connection a secret address leads to.
func Knock(ctx context.Context, s *store.Store, connection string, secret usersync.Secret) (organization string, err error) {
	var hash string
	err = s.Reader().QueryRow(ctx, doorStatement, connection).Scan(&organization, &hash)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return "", fmt.Errorf("find the address: %w", store.Classify(err))
	}
	// Also what is not there is compared, so that the time tells nothing.
	if subtle.ConstantTimeCompare([]byte(hash), []byte(hashOf(secret))) != 1 {
		return "", ErrNoDoor
	}
	return organization, nil
}
