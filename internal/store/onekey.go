package store

import (
	"context"
	"errors"

	"gorm.io/gorm"

	"usersync/internal/usersync"
)

// Key returns one API key of the organization.
func (o *Org) Key(ctx context.Context, id string) (usersync.Key, error) {
	var row keyRow
	err := o.store.read.WithContext(ctx).First(&row, "id = ? AND organization_id = ?", id, o.id).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return usersync.Key{}, ErrNoKey
	}
	if err != nil {
		return usersync.Key{}, classify(err)
	}
	return row.key()
}
