// Package catalog keeps the follow-ups of organizations, and every definition that they
// have had.
package catalog

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"usersync/internal/audit"
	"usersync/internal/followup"
	"usersync/internal/store"
	"usersync/internal/tenant"
	"usersync/internal/usersync"
)

// The statuses of a follow-up. A paused one is set off by no event; what has begun goes on.
const (
	Active = "active"
	Paused = "paused"
)

// Statuses lists them.
var Statuses = []string{Active, Paused}

// Prefix begins the ids of follow-ups.
const Prefix usersync.Prefix = "fup"

// maxVersions is how many definitions of a follow-up are kept, the newest.
const maxVersions = 100

// FollowUp is a follow-up with its present definition.
type FollowUp struct {
	ID string `json:"id"`
	followup.Definition
	Status string `json:"status"`
	// Version rises with every change of the definition.
	Version   int64         `json:"version"`
	CreatedAt usersync.Time `json:"createdAt"`
	UpdatedAt usersync.Time `json:"updatedAt"`
}

// row is a row of follow_ups.
type row struct {
	ID             string `gorm:"primaryKey"`
	OrganizationID string
	Name           string
	Status         string
	Definition     string
	Version        int64
	CreatedAt      int64 `gorm:"autoCreateTime:false"`
	UpdatedAt      int64 `gorm:"autoUpdateTime:false"`
}

func (row) TableName() string { return "follow_ups" }

func (r row) followUp() (f FollowUp, err error) {
	f = FollowUp{ID: r.ID, Status: r.Status, Version: r.Version, CreatedAt: store.Stamp(r.CreatedAt), UpdatedAt: store.Stamp(r.UpdatedAt)}
	if err := json.Unmarshal([]byte(r.Definition), &f.Definition); err != nil {
		return f, fmt.Errorf("decode the definition of follow-up %q: %w", r.ID, err)
	}
	return f, nil
}

// versionRow is a row of follow_up_versions.
type versionRow struct {
	FollowUpID     string
	Version        int64
	OrganizationID string
	Definition     string
	Actor          string
	CreatedAt      int64 `gorm:"autoCreateTime:false"`
}

func (versionRow) TableName() string { return "follow_up_versions" }

// Version is a definition that a follow-up has had.
type Version struct {
	Version int64 `json:"version"`
	followup.Definition
	// Actor is who wrote it: the id of an API key.
	Actor     string        `json:"actor"`
	CreatedAt usersync.Time `json:"createdAt"`
}

func (r versionRow) read() (v Version, err error) {
	v = Version{Version: r.Version, Actor: r.Actor, CreatedAt: store.Stamp(r.CreatedAt)}
	if err := json.Unmarshal([]byte(r.Definition), &v.Definition); err != nil {
		return v, fmt.Errorf("decode version %d of follow-up %q: %w", r.Version, r.FollowUpID, err)
	}
	return v, nil
}

// Create stores a new follow-up, whose definition was compiled. It returns a conflict where
// the organization has as many as it may have.
func Create(ctx context.Context, o *store.Org, actor string, d followup.Definition, status string) (f FollowUp, err error) {
	err = o.Tx(ctx, func(tx *store.Tx) error {
		f, err = create(ctx, tx, o.ID(), actor, d, status)
		return err
	})
	return f, err
}

var count = tenant.Count{
	Of:    store.Define("catalog.count", `SELECT count(*) FROM follow_ups WHERE organization_id = $1`),
	Limit: func(l tenant.Limits) int { return l.FollowUps }, Setting: "followUps", Noun: "follow-ups",
}

func create(ctx context.Context, tx *store.Tx, organization, actor string, d followup.Definition, status string) (FollowUp, error) {
	d, err := restored(d, nil)
	if err != nil {
		return FollowUp{}, err
	}
	hidden, headers := d.Hide()
	text, err := encode(hidden)
	if err != nil {
		return FollowUp{}, err
	}
	if err := tenant.MakeRoom(ctx, tx, organization, count); err != nil {
		return FollowUp{}, err
	}
	now := store.Micros(time.Now())
	r := row{ID: usersync.NewID(Prefix), OrganizationID: organization, Name: d.Name, Status: status, Definition: text, Version: 1, CreatedAt: now, UpdatedAt: now}
	if err := tx.GORM().Create(&r).Error; err != nil {
		return FollowUp{}, fmt.Errorf("store the follow-up: %w", err)
	}
	if err := keepVersion(ctx, tx, r, actor, headers); err != nil {
		return FollowUp{}, err
	}
	if err := audit.Record(ctx, tx, organization, actor, "follow_up.create", r.ID, "name", "trigger", "condition", "overlap", "actions", "status"); err != nil {
		return FollowUp{}, fmt.Errorf("record the change: %w", err)
	}
	return r.followUp()
}

// encode writes a definition as it is stored.
func encode(d followup.Definition) (string, error) {
	text, err := json.Marshal(d)
	if err != nil {
		return "", fmt.Errorf("encode the definition: %w", err)
	}
	if len(text) > followup.MaxDefinition {
		return "", usersync.Errorf(usersync.CodeInvalid, "The definition has %d bytes as JSON, and %d are allowed.", len(text), followup.MaxDefinition)
	}
	return string(text), nil
}

var (
	riseStatement  = store.Define("catalog.rise", `UPDATE organizations SET follow_ups = follow_ups + 1 WHERE id = $1`)
	pruneStatement = store.Define("catalog.prune", `DELETE FROM follow_up_versions WHERE follow_up_id = $2 AND organization_id = $1 AND version <= $3`)
)

// rise tells the processes that what they know of the follow-ups is old.
func rise(ctx context.Context, tx *store.Tx, organization string) error {
	return tx.Later(ctx, riseStatement, nil, nil, organization)
}

// keepVersion stores the present definition among those that there were, with the values
// of its headers.
func keepVersion(ctx context.Context, tx *store.Tx, r row, actor string, headers []followup.Headers) error {
	v := versionRow{FollowUpID: r.ID, Version: r.Version, OrganizationID: r.OrganizationID, Definition: r.Definition, Actor: actor, CreatedAt: r.UpdatedAt}
	if err := tx.GORM().Create(&v).Error; err != nil {
		return fmt.Errorf("store the version: %w", err)
	}
	if err := keepHeaders(ctx, tx, r.OrganizationID, r.ID, r.Version, headers); err != nil {
		return err
	}
	if err := tx.Later(ctx, pruneStatement, nil, nil, r.OrganizationID, r.ID, r.Version-maxVersions); err != nil {
		return fmt.Errorf("remove old versions: %w", err)
	}
	return rise(ctx, tx, r.OrganizationID)
}

// ErrNotFound is the refusal of an id that names no follow-up of the organization.
var ErrNotFound = usersync.Errorf(usersync.CodeNotFound, "Follow-up not found")

// ErrNoVersion is the refusal of a version that the follow-up has not, or no longer.
var ErrNoVersion = usersync.Errorf(usersync.CodeNotFound, "Version not found")

// Get returns one follow-up.
func Get(ctx context.Context, o *store.Org, id string) (FollowUp, error) {
	r, err := load(o.GORM(ctx), o.ID(), id)
	if err != nil {
		return FollowUp{}, err
	}
	return r.followUp()
}

func load(db *store.GORMQuery, organization, id string) (r row, err error) {
	err = db.First(&r, "id = ? AND organization_id = ?", id, organization).Error
	if store.NotFound(err) {
		return r, ErrNotFound
	}
	return r, store.Classify(err)
}

// List returns up to limit follow-ups of the organization, newest first.
func List(ctx context.Context, o *store.Org, before string, limit int) ([]FollowUp, error) {
	return store.Page(o.GORM(ctx).Where("organization_id = ?", o.ID()), before, limit, row.followUp)
}

// Versions returns the definitions that a follow-up has had, newest first, as far as they
// are kept.
func Versions(ctx context.Context, o *store.Org, id string) ([]Version, error) {
	if _, err := load(o.GORM(ctx), o.ID(), id); err != nil {
		return nil, err
	}
	var rows []versionRow
	if err := o.GORM(ctx).Where("organization_id = ? AND follow_up_id = ?", o.ID(), id).Order("version DESC").Find(&rows).Error; err != nil {
		return nil, store.Classify(err)
	}
	out := make([]Version, len(rows))
	for i, r := range rows {
		var err error
		if out[i], err = r.read(); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// Change changes a follow-up under a lock. change returns the names of the fields that it
// changed, for the audit log; a definition that it changed was compiled, and becomes a new
// version. Of a header that is followup.Hidden the value stays, for the same address.
func Change(ctx context.Context, o *store.Org, actor, action, id string, change func(*FollowUp) ([]string, error)) (out FollowUp, err error) {
	err = o.Tx(ctx, func(tx *store.Tx) error {
		out, err = changeIn(ctx, tx, o.ID(), actor, action, id, func(f *FollowUp, _ []followup.Headers) ([]string, error) { return change(f) })
		return err
	})
	return out, err
}

func changeIn(ctx context.Context, tx *store.Tx, organization, actor, action, id string, change func(*FollowUp, []followup.Headers) ([]string, error)) (out FollowUp, err error) {
	// The organization is locked first, as by create: rise writes it at the end.
	if err := tenant.Lock(ctx, tx, organization); err != nil {
		return out, fmt.Errorf("lock the organization: %w", err)
	}
	r, err := load(tx.GORM().Clauses(tx.ForUpdate()...), organization, id)
	if err != nil {
		return out, err
	}
	if out, err = r.followUp(); err != nil {
		return out, err
	}
	before, err := headersOfRow(ctx, tx, r, out.Definition)
	if err != nil {
		return out, err
	}
	fields, err := change(&out, before)
	if err != nil || len(fields) == 0 {
		return out, err
	}
	if out.Definition, err = restored(out.Definition, before); err != nil {
		return out, err
	}
	var headers []followup.Headers
	out.Definition, headers = out.Hide()
	text, err := encode(out.Definition)
	if err != nil {
		return out, err
	}
	out.UpdatedAt = usersync.Time{Time: time.Now().UTC()}
	r.Name, r.Status, r.UpdatedAt = out.Name, out.Status, store.Micros(out.UpdatedAt.Time)
	renewed := text != r.Definition || !followup.SameHeaders(before, headers)
	if renewed {
		r.Definition, r.Version = text, r.Version+1
		out.Version = r.Version
	}
	if err := tx.GORM().Model(&r).Select("name", "status", "definition", "version", "updated_at").Updates(r).Error; err != nil {
		return out, fmt.Errorf("update the follow-up: %w", err)
	}
	keep := rise
	if renewed {
		keep = func(ctx context.Context, tx *store.Tx, _ string) error {
			return keepVersion(ctx, tx, r, actor, headers)
		}
	}
	if err := keep(ctx, tx, organization); err != nil {
		return out, err
	}
	return out, audit.Record(ctx, tx, organization, actor, action, id, fields...)
}

// Delete removes a follow-up with its versions.
func Delete(ctx context.Context, o *store.Org, actor, id string) error {
	return o.Tx(ctx, func(tx *store.Tx) error {
		if err := tenant.Lock(ctx, tx, o.ID()); err != nil {
			return fmt.Errorf("lock the organization: %w", err)
		}
		r, err := load(tx.GORM().Clauses(tx.ForUpdate()...), o.ID(), id)
		if err != nil {
			return err
		}
		if err := tx.GORM().Delete(&r).Error; err != nil {
			return fmt.Errorf("delete the follow-up: %w", err)
		}
		if err := rise(ctx, tx, o.ID()); err != nil {
			return err
		}
		return audit.Record(ctx, tx, o.ID(), actor, "follow_up.delete", id)
	})
}
