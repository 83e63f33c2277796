package bulk

import (
	"context"

	"usersync/internal/request"
	"usersync/internal/store"
)

// Error is a user of a bulk that failed or was skipped, and why.
type Error struct {
	RequestID string `json:"-"`
	UserID    string `json:"userId"`
	// Email is the user's; "" for one that is not known, or not any more.
	Email   string             `json:"email"`
	Status  request.StepStatus `json:"status"` // failed or skipped
	Code    string             `json:"code"`   // a Code, or the reason of a skipped one
	Message string             `json:"message"`
}

var bulkErrorsStatement = store.Define("bulk.bulkErrors", `
SELECT e.user_id, coalesce(u.email, ''), e.status, e.code, e.message
FROM bulk_errors e LEFT JOIN users u ON u.id = e.user_id AND u.organization_id = e.organization_id
WHERE e.request_id = $2 AND e.organization_id = $1 AND e.user_id > $3 AND e.status <> 'again'
ORDER BY e.user_id LIMIT $4`)

// ListErrors returns up to limit users of a bulk that failed or were skipped,
// by their ids, from the one after the given on.
func ListErrors(ctx context.Context, o *store.Org, id, after string, limit int) ([]Error, error) {
	return store.Collect(ctx, o.Reader(), bulkErrorsStatement, nil, func(scan func(...any) error) (e Error, err error) {
		e.RequestID = id
		return e, scan(&e.UserID, &e.Email, &e.Status, &e.Code, &e.Message)
	}, o.ID(), id, after, limit)
}
