package activecampaign

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"encoding/json"

	"usersync/internal/connector"
	"usersync/internal/usersync"
)

var _ connector.Confirmer = (*activeCampaign)(nil)

// report is how an import went.
type report struct {
	// Status is false until the import has one.
	Status any `json:"status"`
	// Success are the numbers of the contacts that it made.
	Success []connector.NumberID `json:"success"`
	Failure []json.RawMessage    `json:"failure"`
}

// Confirm reads how an import went and whom it failed for. After the first of two
// stages it makes the second.
func (a *activeCampaign) Confirm(ctx context.Context, job string, people []connector.Profile) ([]connector.Result, error) {
	batch, first := strings.CutPrefix(job, listNext)
	var answer report
	query := url.Values{"batchId": {batch}}
	_, err := a.call(ctx, http.MethodGet, "/import/info?"+query.Encode(), nil, &answer)
	if usersync.CodeOf(err) == usersync.CodeRejected { // how it refuses an id that it does not know is not documented
		return nil, connector.ErrNoJob
	}
	if err != nil {
		return nil, fmt.Errorf("read how the import went: %w", err)
	}
	switch answer.Status {
	case false, "waiting", "claimed", "active":
		return connector.Everybody(people, connector.Working(platform, job, "")), nil
	case "failed", "interrupted":
		return connector.Everybody(people, connector.RejectedFor("ActiveCampaign could not finish the import.")), nil
	case "completed":
		return a.completed(ctx, job, first, answer, people)
	}
	return nil, usersync.Errorf(usersync.CodeUnavailable, "ActiveCampaign did not say how the import went.")
}

// completed is what became of people whose import is done. After the first stage they
// are not on the list yet.
func (a *activeCampaign) completed(ctx context.Context, job string, first bool, answer report, people []connector.Profile) ([]connector.Result, error) {
	results := make([]connector.Result, len(people))
	failed := addressesOf(answer.Failure)
	for i, p := range people {
		switch {
		case failed[p.Email.Key()]:
			results[i] = connector.RejectedFor("ActiveCampaign did not import the contact: the address may be invalid, bounced or excluded.")
		case !first:
			results[i] = connector.Did.Outcome(connector.Synced, a.target(), p.Remote)
		}
	}
	if !first {
		return results, nil
	}
	made := make([]string, 0, len(answer.Success))
	for _, number := range answer.Success {
		if number != "" {
			made = append(made, string(number))
		}
	}
	return results, a.subscribeAll(ctx, job, made, people, results)
}
