package request

import (
	"context"
	"time"

	"usersync/internal/store"
	"usersync/internal/usersync"
)

// Glimpse is when a request came and how it ended, without what it holds.
type Glimpse struct {
	Kind   Kind
	Status Status
	// Created and Finished are by the database's clock; Finished is zero while it is worked.
	Created, Finished time.Time
}

// newestStatement reads the same range of the same index as the list of all requests.
var newestStatement = store.Define("request.newest", `
SELECT q.kind, q.status, q.created_at, q.finished_at FROM requests q WHERE `+ofOrganization+` ORDER BY q.id DESC LIMIT $4`)

// Newest returns glimpses of the newest requests of the organization, newest first.
func Newest(ctx context.Context, o *store.Org, limit int) ([]Glimpse, error) {
	return store.Collect(ctx, o.Reader(), newestStatement, nil, func(scan func(...any) error) (g Glimpse, err error) {
		var created, finished int64
		err = scan(&g.Kind, &g.Status, &created, &finished)
		g.Created, g.Finished = store.At(created), store.At(finished)
		return g, err
	}, o.ID(), store.AfterAll(usersync.PrefixRequest), "", limit)
}
