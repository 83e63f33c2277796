package platform

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"usersync/internal/audit"
	"usersync/internal/connector"
	"usersync/internal/outbox"
	"usersync/internal/store"
	"usersync/internal/tenant"
	"usersync/internal/usersync"
)

// Connection is one account at one platform, with credentials and settings.
type Connection struct {
	ID       string `json:"id"`
	Platform string `json:"platform"` // the connector's name
	Name     string `json:"name"`
	Status   string `json:"status"` // active, paused or disconnected
	// Reason says why it is disconnected, in the platform's words.
	Reason string `json:"reason,omitempty"`
	// Settings are the connector's own, as JSON.
	Settings  json.RawMessage `json:"settings"`
	CreatedAt usersync.Time   `json:"createdAt"`
	UpdatedAt usersync.Time   `json:"updatedAt"`
	// CheckedAt is when the platform last took the credentials.
	CheckedAt usersync.Time `json:"checkedAt,omitzero"`
	// ThrottledUntil is until when nothing is pushed because the platform said so, or
	// did not answer. It is zero when the platform may be called.
	ThrottledUntil usersync.Time `json:"throttledUntil,omitzero"`
	// Credentials are the connector's own, as JSON.
	Credentials usersync.Secret `json:"-"`
	// Facts is what the last check learnt of the account, as JSON.
	Facts json.RawMessage `json:"-"`
	// Organization owns it.
	Organization string `json:"-"`
}

// Statuses of a connection.
const (
	ConnectionActive = "active"
	ConnectionPaused = "paused" // by its owner
	// ConnectionDisconnected is set when the platform refuses the credentials.
	ConnectionDisconnected = "disconnected"
	// ConnectionDeleted hides a connection whose rows are still being removed.
	ConnectionDeleted = "deleted"
)

// Rests reports whether nothing is pushed to the connection until somebody brings it back.
func (c Connection) Rests() bool {
	return c.Status == ConnectionPaused || c.Status == ConnectionDisconnected
}

// connectionRow is a row of connections.
type connectionRow struct {
	ID             string `gorm:"primaryKey"`
	OrganizationID string
	Platform       string
	Name           string
	Status         string
	Reason         string
	Settings       string
	// Credentials are sealed; "" once the connection is deleted.
	Credentials string
	Facts       string
	CheckedAt   int64
	// ThrottledUntil may be past.
	ThrottledUntil int64
	CreatedAt      int64 `gorm:"autoCreateTime:false"`
	UpdatedAt      int64 `gorm:"autoUpdateTime:false"`
}

func (connectionRow) TableName() string { return "connections" }

// CredentialsPlace names where the sealed credentials of an organization's connection
// are kept, for store.Sealer.
func CredentialsPlace(organization, id string) string {
	return "connections/" + organization + "/" + id + "/credentials"
}

func (r connectionRow) connection(seal store.Sealer) (Connection, error) {
	c := Connection{
		ID: r.ID, Organization: r.OrganizationID, Platform: r.Platform, Name: r.Name, Status: r.Status, Reason: r.Reason,
		Settings: json.RawMessage(r.Settings), Facts: json.RawMessage(r.Facts),
		CreatedAt: store.Stamp(r.CreatedAt), UpdatedAt: store.Stamp(r.UpdatedAt), CheckedAt: store.Stamp(r.CheckedAt),
	}
	//lint:clock it is only shown
	if until := store.Stamp(r.ThrottledUntil); until.After(time.Now()) {
		c.ThrottledUntil = until
	}
	if r.Credentials == "" {
		return c, nil
	}
	plain, err := seal.Open(r.Credentials, CredentialsPlace(r.OrganizationID, r.ID))
	if err != nil {
		return c, fmt.Errorf("open the credentials of connection %q: %w", r.ID, err)
	}
	c.Credentials = usersync.NewSecret(string(plain))
	return c, nil
}

var connectionCount = tenant.Count{
	Of:    store.Define("platform.countConnections", `SELECT count(*) FROM connections WHERE organization_id = $1 AND status <> '`+ConnectionDeleted+`'`),
	Limit: func(l tenant.Limits) int { return l.Connections }, Setting: "connections", Noun: "connections",
}

// CreateConnection stores a new, active connection with what c says, and the
// task that pushes to it. It returns a conflict where the organization has as many as
// it may have.
func CreateConnection(ctx context.Context, o *store.Org, actor string, c Connection) (Connection, error) {
	id := usersync.NewID(usersync.PrefixConnection)
	sealed, err := o.Sealer().Seal([]byte(c.Credentials.Reveal()), CredentialsPlace(o.ID(), id))
	if err != nil {
		return c, fmt.Errorf("seal the secret: %w", err)
	}
	task := pushTask(o.ID(), id)
	now := store.Micros(time.Now()) //lint:clock a stamp
	row := connectionRow{ID: id, OrganizationID: o.ID(), Platform: c.Platform, Name: c.Name, Status: ConnectionActive, Settings: string(c.Settings),
		Credentials: sealed, Facts: string(c.Facts), CheckedAt: store.Micros(c.CheckedAt.Time), CreatedAt: now, UpdatedAt: now}
	err = o.Tx(ctx, func(tx *store.Tx) error {
		if err := tenant.MakeRoom(ctx, tx, o.ID(), connectionCount); err != nil {
			return err
		}
		if err := tx.GORM().Create(&row).Error; err != nil {
			return fmt.Errorf("store the connection: %w", err)
		}
		if err := outbox.Enqueue(ctx, tx, task); err != nil {
			return fmt.Errorf("enqueue the task: %w", err)
		}
		return audit.Record(ctx, tx, o.ID(), actor, "connection.create", id, "platform", "name", "credentials", "settings")
	})
	if err != nil {
		return c, err
	}
	return row.connection(o.Sealer())
}

// ListConnections returns up to limit connections of the organization, newest first.
func ListConnections(ctx context.Context, o *store.Org, before string, limit int) ([]Connection, error) {
	query := o.GORM(ctx).Where("organization_id = ? AND status <> ?", o.ID(), ConnectionDeleted)
	return store.Page(query, before, limit, func(row connectionRow) (Connection, error) { return row.connection(o.Sealer()) })
}

// ErrNoConnection is the refusal of an id that names no connection of the organization.
var ErrNoConnection = usersync.Errorf(usersync.CodeNotFound, "Connection not found")

// GetConnection returns one connection.
func GetConnection(ctx context.Context, o *store.Org, id string) (Connection, error) {
	row, err := loadConnectionRow(o, o.GORM(ctx), id)
	if err != nil {
		return Connection{}, err
	}
	return row.connection(o.Sealer())
}

// loadConnectionRow finds a connection that is not deleted.
func loadConnectionRow(o *store.Org, db *store.GORMQuery, id string) (row connectionRow, err error) {
	err = db.First(&row, "id = ? AND organization_id = ? AND status <> ?", id, o.ID(), ConnectionDeleted).Error
	if store.NotFound(err) {
		return row, ErrNoConnection
	}
	return row, store.Classify(err)
}

// UpdateConnection changes one connection under a lock: change returns the names of
// the fields that it changed, for the audit log.
// New credentials or settings wake its task, and so does another status.
func UpdateConnection(ctx context.Context, o *store.Org, actor, id string, change func(*Connection) ([]string, error)) (Connection, error) {
	return changeConnection(ctx, o, actor, "connection.update", id, change)
}

// CheckedConnection notes what a check of a connection learnt, by a change that
// takes it in.
func CheckedConnection(ctx context.Context, o *store.Org, actor, id string, change func(*Connection) ([]string, error)) (Connection, error) {
	return changeConnection(ctx, o, actor, "connection.check", id, change)
}

// PauseConnection has nothing more pushed to a connection.
func PauseConnection(ctx context.Context, o *store.Org, actor, id string) (Connection, error) {
	return changeConnection(ctx, o, actor, "connection.pause", id, func(c *Connection) ([]string, error) {
		return setStatus(c, ConnectionPaused), nil
	})
}

// ResumeConnection has a connection pushed to again, now, even if its platform wants no
// calls yet.
func ResumeConnection(ctx context.Context, o *store.Org, actor, id string) (Connection, error) {
	return changeConnection(ctx, o, actor, "connection.resume", id, func(c *Connection) ([]string, error) {
		return append(setStatus(c, ConnectionActive), c.lift()...), nil
	})
}

// lift ends the wait that a platform asked for. It returns the names of the fields that
// it changed.
func (c *Connection) lift() []string {
	if c.ThrottledUntil.IsZero() {
		return nil
	}
	c.ThrottledUntil = usersync.Time{}
	return []string{"throttledUntil"}
}

// Config returns what a connector is opened with.
func (c Connection) Config() (connector.Config, error) {
	cfg := connector.Config{Credentials: json.RawMessage(c.Credentials.Reveal()), Settings: c.Settings}
	if len(c.Facts) == 0 {
		return cfg, nil
	}
	if err := json.Unmarshal(c.Facts, &cfg.Facts); err != nil {
		return cfg, usersync.Errorf(usersync.CodeInternal, "What is known of the account cannot be read.").Because(err)
	}
	return cfg, nil
}

// setStatus returns the names of the fields that it changed.
func setStatus(c *Connection, status string) []string {
	if c.Status == status {
		return nil
	}
	c.Status, c.Reason = status, ""
	return []string{"status"}
}

func changeConnection(ctx context.Context, o *store.Org, actor, action, id string, change func(*Connection) ([]string, error)) (out Connection, err error) {
	err = o.Tx(ctx, func(tx *store.Tx) error {
		row, err := loadConnectionRow(o, tx.GORM().Clauses(tx.ForUpdate()...), id)
		if err != nil {
			return err
		}
		before, err := row.connection(o.Sealer())
		if err != nil {
			return fmt.Errorf("read the stored connection: %w", err)
		}
		out = before
		fields, err := change(&out)
		if err != nil || len(fields) == 0 {
			return err
		}
		if !sameAccess(before, out) {
			out.lift() // another server, or another account of it, has not asked for it
		}
		lifted := out.ThrottledUntil != before.ThrottledUntil
		if out.Name != before.Name || out.Reason != before.Reason || !sameAccess(before, out) || lifted {
			out.UpdatedAt = tenant.NextChange(before.UpdatedAt)
		}
		values := map[string]any{"name": out.Name, "status": out.Status, "reason": out.Reason, "settings": string(out.Settings),
			"facts": string(out.Facts), "checked_at": store.Micros(out.CheckedAt.Time), "updated_at": store.Micros(out.UpdatedAt.Time)}
		if lifted {
			values["throttled_until"] = 0
		}
		if out.Credentials.Reveal() != before.Credentials.Reveal() {
			if values["credentials"], err = o.Sealer().Seal([]byte(out.Credentials.Reveal()), CredentialsPlace(o.ID(), id)); err != nil {
				return fmt.Errorf("seal the secret: %w", err)
			}
		}
		if err := tx.GORM().Model(&row).Updates(values).Error; err != nil {
			return fmt.Errorf("update the connection: %w", err)
		}
		if err := tellPushes(ctx, tx, before, out); err != nil {
			return fmt.Errorf("wake the connection's task: %w", err)
		}
		return audit.Record(ctx, tx, o.ID(), actor, action, id, fields...)
	})
	return out, err
}

// sameAccess reports whether a platform is reached in the same way.
func sameAccess(a, b Connection) bool {
	return a.Status == b.Status && a.Credentials.Reveal() == b.Credentials.Reveal() && string(a.Settings) == string(b.Settings)
}

// DeleteConnection hides a connection and forgets its credentials now. Its task
// removes the rows.
func DeleteConnection(ctx context.Context, o *store.Org, actor, id string) error {
	return o.Tx(ctx, func(tx *store.Tx) error {
		row, err := loadConnectionRow(o, tx.GORM().Clauses(tx.ForUpdate()...), id)
		if err != nil {
			return err
		}
		err = tx.GORM().Model(&row).Updates(map[string]any{"status": ConnectionDeleted, "credentials": "", "updated_at": store.Micros(time.Now())}).Error //lint:clock a stamp
		if err != nil {
			return fmt.Errorf("update the connection: %w", err)
		}
		if err := wakePushes(ctx, tx, id); err != nil {
			return fmt.Errorf("wake the connection's task: %w", err)
		}
		return audit.Record(ctx, tx, o.ID(), actor, "connection.delete", id)
	})
}

var lockConnectionStatement = store.Define("platform.lockConnection", `
SELECT platform, name, status, reason, updated_at FROM connections WHERE id = $2 AND organization_id = $1 {for update}`)

// LockConnection locks a connection until the transaction ends, a deleted one
// too: before the claim of its task, as those who change it do. It returns
// neither credentials nor settings.
func LockConnection(ctx context.Context, tx *store.Tx, organization, id string) (Connection, error) {
	c := Connection{ID: id, Organization: organization}
	var updated int64
	err := tx.QueryRow(ctx, lockConnectionStatement, organization, id).Scan(&c.Platform, &c.Name, &c.Status, &c.Reason, &updated)
	c.UpdatedAt = store.Stamp(updated)
	if errors.Is(err, sql.ErrNoRows) {
		return c, ErrNoConnection
	}
	return c, store.Classify(err)
}

var disconnectStatement = store.Define("platform.disconnect", `
UPDATE connections SET status = 'disconnected', reason = $4, updated_at = CASE WHEN {now} > updated_at THEN {now} ELSE updated_at + 1 END
WHERE id = $2 AND organization_id = $1 AND status = 'active' AND updated_at = $3`)

var throttleStatement = store.Define("platform.throttle", `
UPDATE connections SET throttled_until = $4 WHERE id = $2 AND organization_id = $1 AND updated_at = $3`)

// Throttle notes until when the platform of c wants no calls. It reports false, and
// changes nothing, when c was changed since it was read.
func Throttle(ctx context.Context, tx *store.Tx, c Connection, until time.Time) (bool, error) {
	n, err := tx.Exec(ctx, throttleStatement, nil, c.Organization, c.ID, store.Micros(c.UpdatedAt.Time), store.Micros(until))
	return n > 0, err
}

// pusher is who the audit log says disconnected a connection.
const pusher = "push"

// Disconnect notes that the platform refuses the credentials of c, in words of
// the platform. It reports false, and changes nothing, when c is not active or
// was changed since it was read: the new credentials have not been refused.
func Disconnect(ctx context.Context, tx *store.Tx, c Connection, reason string) (bool, error) {
	n, err := tx.Exec(ctx, disconnectStatement, nil, c.Organization, c.ID, store.Micros(c.UpdatedAt.Time), reason)
	if err != nil || n == 0 {
		return false, err
	}
	return true, audit.Record(ctx, tx, c.Organization, pusher, "connection.disconnect", c.ID, "status", "reason")
}

var dropConnectionStatement = store.Define("platform.dropConnection", `DELETE FROM connections WHERE id = $2 AND organization_id = $1 AND status = 'deleted'`)

// DropConnection removes a connection that was deleted and of which nothing is left.
func DropConnection(ctx context.Context, tx *store.Tx, organization, id string) error {
	return tx.Later(ctx, dropConnectionStatement, nil, nil, organization, id)
}
