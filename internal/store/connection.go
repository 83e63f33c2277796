package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"time"

	"usersync/internal/usersync"
)

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
	CreatedAt   int64 `gorm:"autoCreateTime:false"`
	UpdatedAt   int64 `gorm:"autoUpdateTime:false"`
}

func (connectionRow) TableName() string { return "connections" }

func credentialsPlace(id string) string { return "connections/" + id + "/credentials" }

func (r connectionRow) connection(seal Sealer) (usersync.Connection, error) {
	c := usersync.Connection{
		ID: r.ID, Organization: r.OrganizationID, Platform: r.Platform, Name: r.Name, Status: r.Status, Reason: r.Reason,
		Settings: json.RawMessage(r.Settings), Facts: json.RawMessage(r.Facts),
		CreatedAt: stamp(r.CreatedAt), UpdatedAt: stamp(r.UpdatedAt), CheckedAt: stamp(r.CheckedAt),
	}
	if r.Credentials == "" {
		return c, nil
	}
	plain, err := seal.Open(r.Credentials, credentialsPlace(r.ID))
	c.Credentials = usersync.NewSecret(string(plain))
	return c, err
}

// Of the task that pushes to a connection.
const (
	pushKind  = "platform.push"
	pushQueue = "push"
)

// pushTask is that task as it is made with the connection: it stays for as long
// as the connection does, and nobody runs it before it is woken.
func pushTask(organization, connection string) (usersync.Task, error) {
	args, err := json.Marshal(map[string]string{"connection": connection})
	return usersync.Task{
		ID: PushTaskID(connection), Organization: organization, Kind: pushKind, Queue: pushQueue, Lane: connection, Args: args, DueAt: NeverDue,
	}, err
}

// CreateConnection stores a new, active connection with what c says, and the
// task that pushes to it.
func (o *Org) CreateConnection(ctx context.Context, actor string, c usersync.Connection) (usersync.Connection, error) {
	id := usersync.NewID(usersync.PrefixConnection)
	sealed, err := o.sealer().Seal([]byte(c.Credentials.Reveal()), credentialsPlace(id))
	if err != nil {
		return c, err
	}
	task, err := pushTask(o.ID(), id)
	if err != nil {
		return c, err
	}
	now := micros(time.Now())
	row := connectionRow{ID: id, OrganizationID: o.ID(), Platform: c.Platform, Name: c.Name, Status: usersync.ConnectionActive, Settings: string(c.Settings),
		Credentials: sealed, Facts: string(c.Facts), CheckedAt: micros(c.CheckedAt.Time), CreatedAt: now, UpdatedAt: now}
	err = o.Tx(ctx, func(tx *Tx) error {
		if err := tx.GORM().Create(&row).Error; err != nil {
			return err
		}
		if err := tx.Enqueue(ctx, task); err != nil {
			return err
		}
		return tx.audit(ctx, o.ID(), actor, "connection.create", id, "platform", "name", "credentials", "settings")
	})
	if err != nil {
		return c, err
	}
	return row.connection(o.sealer())
}

// Connections returns up to limit connections of the organization, newest first.
func (o *Org) Connections(ctx context.Context, before string, limit int) ([]usersync.Connection, error) {
	var list []connectionRow
	query := o.GORM(ctx).Where("organization_id = ? AND status <> ?", o.ID(), usersync.ConnectionDeleted)
	if err := page(query, before, limit).Find(&list).Error; err != nil {
		return nil, classify(err)
	}
	out := make([]usersync.Connection, 0, len(list))
	for _, row := range list {
		c, err := row.connection(o.sealer())
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, nil
}

// ErrNoConnection is the refusal of an id that names no connection of the organization.
var ErrNoConnection = usersync.Errorf(usersync.CodeNotFound, "Connection not found")

// Connection returns one connection.
func (o *Org) Connection(ctx context.Context, id string) (usersync.Connection, error) {
	row, err := o.connectionRow(o.GORM(ctx), id)
	if err != nil {
		return usersync.Connection{}, err
	}
	return row.connection(o.sealer())
}

// connectionRow finds a connection that is not deleted.
func (o *Org) connectionRow(db *gormDB, id string) (row connectionRow, err error) {
	err = db.First(&row, "id = ? AND organization_id = ? AND status <> ?", id, o.ID(), usersync.ConnectionDeleted).Error
	if notFound(err) {
		return row, ErrNoConnection
	}
	return row, classify(err)
}

// UpdateConnection changes one connection under a lock, see UpdateOrganization.
// New credentials or settings wake its task, and so does another status.
func (o *Org) UpdateConnection(ctx context.Context, actor, id string, change func(*usersync.Connection) ([]string, error)) (usersync.Connection, error) {
	return o.changeConnection(ctx, actor, "connection.update", id, change)
}

// CheckedConnection notes what a check of a connection learnt, by a change that
// takes it in.
func (o *Org) CheckedConnection(ctx context.Context, actor, id string, change func(*usersync.Connection) ([]string, error)) (usersync.Connection, error) {
	return o.changeConnection(ctx, actor, "connection.check", id, change)
}

// PauseConnection has nothing more pushed to a connection.
func (o *Org) PauseConnection(ctx context.Context, actor, id string) (usersync.Connection, error) {
	return o.changeConnection(ctx, actor, "connection.pause", id, func(c *usersync.Connection) ([]string, error) {
		return setStatus(c, usersync.ConnectionPaused), nil
	})
}

// ResumeConnection has a connection pushed to again.
func (o *Org) ResumeConnection(ctx context.Context, actor, id string) (usersync.Connection, error) {
	return o.changeConnection(ctx, actor, "connection.resume", id, func(c *usersync.Connection) ([]string, error) {
		return setStatus(c, usersync.ConnectionActive), nil
	})
}

// setStatus returns the names of the fields that it changed.
func setStatus(c *usersync.Connection, status string) []string {
	if c.Status == status {
		return nil
	}
	c.Status, c.Reason = status, ""
	return []string{"status"}
}

func (o *Org) changeConnection(ctx context.Context, actor, action, id string, change func(*usersync.Connection) ([]string, error)) (out usersync.Connection, err error) {
	err = o.Tx(ctx, func(tx *Tx) error {
		row, err := o.connectionRow(tx.GORM().Clauses(tx.lock()...), id)
		if err != nil {
			return err
		}
		before, err := row.connection(o.sealer())
		if err != nil {
			return err
		}
		out = before
		fields, err := change(&out)
		if err != nil || len(fields) == 0 {
			return err
		}
		if out.Name != before.Name || !sameAccess(before, out) {
			out.UpdatedAt.Time = time.Now().UTC()
		}
		values := map[string]any{"name": out.Name, "status": out.Status, "reason": out.Reason, "settings": string(out.Settings),
			"facts": string(out.Facts), "checked_at": micros(out.CheckedAt.Time), "updated_at": micros(out.UpdatedAt.Time)}
		if out.Credentials.Reveal() != before.Credentials.Reveal() {
			if values["credentials"], err = o.sealer().Seal([]byte(out.Credentials.Reveal()), credentialsPlace(id)); err != nil {
				return err
			}
		}
		if err := tx.GORM().Model(&row).Updates(values).Error; err != nil {
			return err
		}
		if err := tx.tellPushes(ctx, before, out); err != nil {
			return err
		}
		return tx.audit(ctx, o.ID(), actor, action, id, fields...)
	})
	return out, err
}

// tellPushes has a connection's task look again when a change concerns it.
func (tx *Tx) tellPushes(ctx context.Context, before, after usersync.Connection) error {
	if after.Status == usersync.ConnectionActive && before.Status != after.Status {
		if err := tx.resumePushes(ctx, after.ID); err != nil {
			return err
		}
	}
	if sameAccess(before, after) {
		return nil
	}
	return tx.wakePushes(ctx, after.ID)
}

// sameAccess reports whether a platform is reached in the same way.
func sameAccess(a, b usersync.Connection) bool {
	return a.Status == b.Status && a.Credentials.Reveal() == b.Credentials.Reveal() && string(a.Settings) == string(b.Settings)
}

// DeleteConnection hides a connection and forgets its credentials now. Its task
// removes the rows.
func (o *Org) DeleteConnection(ctx context.Context, actor, id string) error {
	return o.Tx(ctx, func(tx *Tx) error {
		row, err := o.connectionRow(tx.GORM().Clauses(tx.lock()...), id)
		if err != nil {
			return err
		}
		err = tx.GORM().Model(&row).Updates(map[string]any{"status": usersync.ConnectionDeleted, "credentials": "", "updated_at": micros(time.Now())}).Error
		if err != nil {
			return err
		}
		if err := tx.wakePushes(ctx, id); err != nil {
			return err
		}
		return tx.audit(ctx, o.ID(), actor, "connection.delete", id)
	})
}

var lockConnectionStatement = define(`
SELECT platform, name, status, reason, updated_at FROM connections WHERE id = $2 AND organization_id = $1 {for update}`)

// LockConnection locks a connection until the transaction ends, a deleted one
// too: before the claim of its task, as those who change it do. It returns
// neither credentials nor settings.
func (tx *Tx) LockConnection(ctx context.Context, organization, id string) (usersync.Connection, error) {
	c := usersync.Connection{ID: id, Organization: organization}
	var updated int64
	err := tx.row(ctx, lockConnectionStatement, organization, id).Scan(&c.Platform, &c.Name, &c.Status, &c.Reason, &updated)
	c.UpdatedAt = stamp(updated)
	if errors.Is(err, sql.ErrNoRows) {
		return c, ErrNoConnection
	}
	return c, classify(err)
}

var disconnectStatement = define(`
UPDATE connections SET status = 'disconnected', reason = $4, updated_at = {now}
WHERE id = $2 AND organization_id = $1 AND status = 'active' AND updated_at = $3`)

// pusher is who the audit log says disconnected a connection.
const pusher = "push"

// Disconnect notes that the platform refuses the credentials of c, in words of
// the platform. It reports false, and changes nothing, when c is not active or
// was changed since it was read: the new credentials have not been refused.
func (tx *Tx) Disconnect(ctx context.Context, c usersync.Connection, reason string) (bool, error) {
	n, err := tx.exec(ctx, disconnectStatement, nil, c.Organization, c.ID, micros(c.UpdatedAt.Time), reason)
	if err != nil || n == 0 {
		return false, err
	}
	return true, tx.audit(ctx, c.Organization, pusher, "connection.disconnect", c.ID, "status", "reason")
}

var dropConnectionStatement = define(`DELETE FROM connections WHERE id = $2 AND organization_id = $1 AND status = 'deleted'`)

// DropConnection removes a connection that was deleted and of which nothing is left.
func (tx *Tx) DropConnection(ctx context.Context, organization, id string) error {
	return tx.later(ctx, dropConnectionStatement, nil, nil, organization, id)
}
