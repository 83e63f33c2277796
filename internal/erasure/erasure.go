package erasure

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"usersync/internal/receipt"
	"usersync/internal/store"
	"usersync/internal/usersync"
)

// Erasure is the receipt for erasing a person: what went, and how far it is.
type Erasure struct {
	ID string `json:"id"`
	// UserID is "" when the person was no user.
	UserID  string  `json:"userId"`
	Status  string  `json:"status"`
	Removed Removed `json:"removed"`
	// Platforms has one receipt for each platform that knew the person.
	Platforms  []receipt.Receipt `json:"platforms"`
	CreatedAt  usersync.Time     `json:"createdAt"`
	FinishedAt usersync.Time     `json:"finishedAt,omitzero"`
}

// Removed counts the records that were deleted or emptied.
type Removed struct {
	Users      int64 `json:"users"`
	People     int64 `json:"people"`     // entries of the directory
	Colleagues int64 `json:"colleagues"` // colleague records
	Links      int64 `json:"links"`      // who was found as whose colleague
	Requests   int64 `json:"requests"`
	Messages   int64 `json:"messages"` // webhook messages
	Events     int64 `json:"events"`
}

// Add adds what another part of the work removed.
func (r *Removed) Add(more Removed) {
	r.Users += more.Users
	r.People += more.People
	r.Colleagues += more.Colleagues
	r.Links += more.Links
	r.Requests += more.Requests
	r.Messages += more.Messages
	r.Events += more.Events
}

// erasureRow is a row of erasures.
type erasureRow struct {
	ID             string `gorm:"primaryKey"`
	OrganizationID string
	UserID         string
	Status         string
	Removed        string
	Platforms      string
	CreatedAt      int64 `gorm:"autoCreateTime:false"`
	FinishedAt     int64
}

func (erasureRow) TableName() string { return "erasures" }

func (r erasureRow) erasure() (Erasure, error) {
	e := Erasure{
		ID: r.ID, UserID: r.UserID, Status: r.Status, Platforms: []receipt.Receipt{},
		CreatedAt: store.Stamp(r.CreatedAt), FinishedAt: store.Stamp(r.FinishedAt),
	}
	return e, errors.Join(store.Decode(r.Removed, &e.Removed), store.Decode(r.Platforms, &e.Platforms))
}

// ErrNotFound is the refusal of an id that names no erasure of the organization.
var ErrNotFound = usersync.Errorf(usersync.CodeNotFound, "Erasure not found")

const erasureColumns = `id, user_id, status, removed, platforms, created_at, finished_at`

var (
	erasureStatement  = store.Define("erasure.erasure", `SELECT `+erasureColumns+` FROM erasures WHERE id = $2 AND organization_id = $1`)
	erasuresStatement = store.Define("erasure.erasures", `SELECT `+erasureColumns+` FROM erasures WHERE organization_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3`)
)

func scanErasure(scan func(...any) error) (Erasure, error) {
	var r erasureRow
	if err := scan(&r.ID, &r.UserID, &r.Status, &r.Removed, &r.Platforms, &r.CreatedAt, &r.FinishedAt); err != nil {
		return Erasure{}, err
	}
	return r.erasure()
}

// Get returns one erasure.
func Get(ctx context.Context, o *store.Org, id string) (Erasure, error) {
	e, err := scanErasure(o.Reader().QueryRow(ctx, erasureStatement, o.ID(), id).Scan)
	if errors.Is(err, sql.ErrNoRows) {
		return e, ErrNotFound
	}
	return e, store.Classify(err)
}

// List returns up to limit erasures, newest first.
func List(ctx context.Context, o *store.Org, before string, limit int) ([]Erasure, error) {
	return store.Collect(ctx, o.Reader(), erasuresStatement, nil, scanErasure, o.ID(), cmp.Or(before, store.AfterAll(usersync.PrefixErasure)), limit)
}

var (
	removedStatement      = store.Define("erasure.removed", `SELECT removed FROM erasures WHERE id = $1 {for update}`)
	saveErasureStatement  = store.Define("erasure.saveErasure", `UPDATE erasures SET removed = $2 WHERE id = $1`)
	closeErasureStatement = store.Define("erasure.closeErasure", `UPDATE erasures SET swept_at = {now} WHERE id = $1`)
)

// NoteRemoved adds to what an erasure has removed.
func NoteRemoved(ctx context.Context, tx *store.Tx, id string, more Removed) error {
	var text string
	if err := tx.QueryRow(ctx, removedStatement, id).Scan(&text); err != nil {
		return store.Classify(err)
	}
	var removed Removed
	if err := store.Decode(text, &removed); err != nil {
		return fmt.Errorf("decode what was removed: %w", err)
	}
	removed.Add(more)
	text, err := encodeRemoved(removed)
	if err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, saveErasureStatement, nil, id, text); err != nil {
		return fmt.Errorf("save what was removed: %w", err)
	}
	return nil
}

// Close notes that nothing of the person is left in our own database. The erasure is
// done when every platform has confirmed the removal, too.
func Close(ctx context.Context, tx *store.Tx, id string) error {
	if err := tx.Later(ctx, closeErasureStatement, nil, nil, id); err != nil {
		return fmt.Errorf("close the erasure: %w", err)
	}
	return receipt.Close(ctx, tx, id)
}

func encodeRemoved(r Removed) (string, error) {
	text, err := json.Marshal(r)
	return string(text), err
}
