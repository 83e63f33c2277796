package store

import (
	"context"
	"errors"

	"usersync/internal/usersync"
)

// RequestSteps returns the steps of one request, in their order.
func (o *Org) RequestSteps(ctx context.Context, id string) ([]usersync.Step, error) {
	return collect(ctx, o.store.reader(), reportStepsStatement, idRows(reportStepsStatement, []string{id}), func(scan func(...any) error) (usersync.Step, error) {
		_, s, err := scanStep(scan)
		return s, err
	}, o.id)
}

func scanStep(scan func(...any) error) (request string, s usersync.Step, err error) {
	var next int64
	var found string
	err = scan(&request, &s.Position, &s.Name, &s.Platform, &s.ConnectionID, &s.Status, &s.Reason, &s.Attempts, &next, &s.Details,
		&s.ErrorCode, &s.ErrorMessage, &found)
	s.NextAttemptAt = at(next)
	return request, s, errors.Join(err, decode(found, &s.Found))
}
