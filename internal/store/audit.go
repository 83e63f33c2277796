package store

import (
	"context"
	"strings"
	"time"

	"usersync/internal/usersync"
)

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

// audit notes a change in the transaction that makes it. actor is the id of a
// key, or the name of a door such as "operator".
func (tx *Tx) audit(ctx context.Context, organization, actor, action, object string, fields ...string) error {
	return tx.GORM().WithContext(ctx).Create(&auditRow{
		ID: usersync.NewID(usersync.PrefixAudit), OrganizationID: organization, Actor: actor, Action: action,
		Object: object, Fields: strings.Join(fields, ","), CreatedAt: micros(time.Now()),
	}).Error
}

// Note writes an operator's change to what is not in the database.
func (s *Store) Note(ctx context.Context, actor, action, object string) error {
	return s.Tx(ctx, func(tx *Tx) error { return tx.audit(ctx, "", actor, action, object) })
}

// AuditEntry is one line of the audit log.
type AuditEntry struct {
	ID           string        `json:"id"`
	Organization string        `json:"organizationId"`
	Actor        string        `json:"actor"`
	Action       string        `json:"action"`
	Object       string        `json:"object"`
	Fields       []string      `json:"fields"`
	At           usersync.Time `json:"at"`
}

// Audit returns up to limit lines of the audit log, newest first, of one
// organization or, with "", of all.
func (s *Store) Audit(ctx context.Context, organization, before string, limit int) ([]AuditEntry, error) {
	db := s.GORM(ctx)
	if organization != "" {
		db = db.Where("organization_id = ?", organization)
	}
	var list []auditRow
	if err := page(db, before, limit).Find(&list).Error; err != nil {
		return nil, classify(err)
	}
	out := make([]AuditEntry, 0, len(list))
	for _, r := range list {
		fields := []string{}
		if r.Fields != "" {
			fields = strings.Split(r.Fields, ",")
		}
		out = append(out, AuditEntry{ID: r.ID, Organization: r.OrganizationID, Actor: r.Actor, Action: r.Action,
			Object: r.Object, Fields: fields, At: stamp(r.CreatedAt)})
	}
	return out, nil
}
