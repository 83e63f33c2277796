package delivery

import (
	"cmp"
	"context"
	"database/sql"
	"errors"

	"usersync/internal/store"
	"usersync/internal/usersync"
)

// ErrNotFound is the refusal of an id that names no delivery of the organization.
var ErrNotFound = usersync.Errorf(usersync.CodeNotFound, "Delivery not found")

// listDeliveries holds the list of an endpoint's deliveries for each status,
// "" for all. Those of which there may be few among many have indexes of their
// own, which are found by the second condition. The tuple is compared over the
// columns of those indexes, whose order no other index has.
var listDeliveries = map[Status]*store.Statement{
	"":        defineList("delivery.list", ``),
	Pending:   defineList("delivery.listPending", `AND d.status = 'pending'`),
	Retrying:  defineList("delivery.listRetrying", `AND d.status = 'retrying' AND d.next_attempt_at > 0`),
	Delivered: defineList("delivery.listDelivered", `AND d.status = 'delivered'`),
	Failed:    defineList("delivery.listFailed", `AND d.status = 'failed' AND d.failed_at > 0`),
}

func defineList(name, condition string) *store.Statement {
	return store.Define(name, `SELECT `+Columns+` FROM deliveries d
WHERE (d.endpoint_id, d.id) < ($2, $3) AND d.endpoint_id >= $2 AND CASE WHEN d.organization_id = $1 THEN true ELSE false END `+condition+`
ORDER BY d.endpoint_id DESC, d.id DESC LIMIT $4`)
}

// List returns up to limit deliveries to an endpoint, newest first, of
// one status or, with "", of all.
func List(ctx context.Context, o *store.Org, endpoint string, status Status, before string, limit int) ([]Delivery, error) {
	return store.Collect(ctx, o.Reader(), listDeliveries[status], nil, ScanDelivery, o.ID(), endpoint, cmp.Or(before, store.AfterAll(usersync.PrefixDelivery)), limit)
}

// ScanDelivery reads a delivery from the columns Columns.
func ScanDelivery(scan func(...any) error) (Delivery, error) { return scanDelivery(scan) }

var deliveryStatement = store.Define("delivery.delivery", `SELECT `+Columns+` FROM deliveries d WHERE d.id = $2 AND d.organization_id = $1`)

// Get returns one delivery.
func Get(ctx context.Context, o *store.Org, id string) (Delivery, error) {
	return load(ctx, o.Reader(), o.ID(), id)
}

// getInTx returns one delivery as this transaction sees it.
func getInTx(ctx context.Context, tx *store.Tx, organization, id string) (Delivery, error) {
	return load(ctx, tx.Conn, organization, id)
}

func load(ctx context.Context, db store.Conn, organization, id string) (Delivery, error) {
	d, err := scanDelivery(db.QueryRow(ctx, deliveryStatement, organization, id).Scan)
	if errors.Is(err, sql.ErrNoRows) {
		return d, ErrNotFound
	}
	return d, store.Classify(err)
}
