// Package audit keeps who changed what: it writes a row in the transaction of every
// change that somebody asked for.
package audit

import (
	"context"
	"strings"
	"time"

	"usersync/internal/store"
	"usersync/internal/usersync"
)

// Entry is one line of the audit log.
type Entry struct {
	ID           string        `json:"id"`
	Organization string        `json:"organizationId"`
	Actor        string        `json:"actor"`
	Action       string        `json:"action"`
	Object       string        `json:"object"`
	Fields       []string      `json:"fields"`
	At           usersync.Time `json:"at"`
}

// auditRow is a row of audit: who changed what and which fields, never values.
type auditRow struct {
	ID             string `gorm:"primaryKey"`
	OrganizationID string
	Actor          string
	Action         string
	Object         string
	Fields         string
	CreatedAt      int64 `gorm:"autoCreateTime:false"`
}

func (auditRow) TableName() string { return "audit" }

func (r auditRow) entry() Entry {
	fields := []string{}
	if r.Fields != "" {
		fields = strings.Split(r.Fields, ",")
	}
	return Entry{ID: r.ID, Organization: r.OrganizationID, Actor: r.Actor, Action: r.Action,
		Object: r.Object, Fields: fields, At: store.Stamp(r.CreatedAt)}
}

// Record notes a change in the transaction that makes it. actor is the id of an
// API key, or the name of who else acts, such as "operator".
func Record(ctx context.Context, tx *store.Tx, organization, actor, action, object string, fields ...string) error {
	return tx.GORM().WithContext(ctx).Create(&auditRow{
		ID: usersync.NewID(usersync.PrefixAudit), OrganizationID: organization, Actor: actor, Action: action,
		Object: object, Fields: strings.Join(fields, ","), CreatedAt: store.Micros(time.Now()),
	}).Error
}

// Note records an operator's change to something that is outside of the database.
func Note(ctx context.Context, s *store.Store, actor, action, object string) error {
	return s.Tx(ctx, func(tx *store.Tx) error { return Record(ctx, tx, "", actor, action, object) })
}

// List returns up to limit lines of the audit log, newest first, of one
// organization or, with "", of all.
func List(ctx context.Context, s *store.Store, organization, before string, limit int) ([]Entry, error) {
	db := s.GORM(ctx)
	if organization != "" {
		db = db.Where("organization_id = ?", organization)
	}
	return store.Page(db, before, limit, func(r auditRow) (Entry, error) { return r.entry(), nil })
}
