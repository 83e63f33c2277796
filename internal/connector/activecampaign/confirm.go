package activecampaign

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"usersync/internal/connector"
	"usersync/internal/usersync"
)

var _ connector.Confirmer = (*activeCampaign)(nil)

// Confirm reads how an import went and whom it failed for.
func (a *activeCampaign) Confirm(ctx context.Context, job string, people []connector.Profile) ([]connector.Result, error) {
	batch, left := connector.JobOf(job)
	var answer struct {
		// Status is false until the import has one.
		Status  any               `json:"status"`
		Failure []json.RawMessage `json:"failure"`
	}
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
	default:
		return nil, usersync.Errorf(usersync.CodeUnavailable, "ActiveCampaign did not say how the import went.")
	}
	done := connector.Did.Outcome(connector.Synced, a.target(), "")
	if left {
		done = connector.Unsubscribed("", a.leftSentence(connector.Did))
	}
	results := connector.Everybody(people, done)
	failed := map[string]bool{}
	for _, raw := range answer.Failure {
		failed[addressOf(raw)] = true
	}
	for i, p := range people {
		if failed[p.Email.Key()] {
			results[i] = connector.RejectedFor("ActiveCampaign did not import the contact: the address may be invalid, bounced or excluded.")
		}
	}
	return results, nil
}

// addressOf reads an entry of the failures. The entry is an address, or an object that
// holds it.
func addressOf(raw json.RawMessage) string {
	var address string
	if json.Unmarshal(raw, &address) == nil {
		return strings.ToLower(address)
	}
	var object struct {
		Email string `json:"email"`
	}
	_ = json.Unmarshal(raw, &object) // what is neither names nobody
	return strings.ToLower(object.Email)
}
