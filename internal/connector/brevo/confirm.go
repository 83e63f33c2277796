package brevo

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"usersync/internal/connector"
	"usersync/internal/usersync"
)

var _ connector.Confirmer = (*brevo)(nil)

// process is how an import goes. The reports are addresses of files, or null.
type process struct {
	Status string `json:"status"`
	Info   struct {
		Import struct {
			InvalidEmails string `json:"invalid_emails"`
			TakenExtIDs   string `json:"duplicate_ext_id"`
		} `json:"import"`
	} `json:"info"`
}

// Confirm asks how an import went. It does not tell added from updated.
func (b *brevo) Confirm(ctx context.Context, job string, people []connector.Profile) ([]connector.Result, error) {
	var p process
	r, err := b.call(ctx, http.MethodGet, "/processes/"+job, nil, &p)
	if connector.NotFound(r) {
		return nil, connector.ErrNoJob
	}
	if err != nil {
		return nil, fmt.Errorf("read how the import went: %w", err)
	}
	switch p.Status {
	case "completed":
		return b.completed(ctx, p, people)
	case "failed", "cancelled":
		return nil, usersync.Errorf(usersync.CodeUnavailable, "Brevo could not work on the import %s.", job)
	}
	return connector.Everybody(people, connector.Working(platform, job, "")), nil
}

// completed reads who was left out.
func (b *brevo) completed(ctx context.Context, p process, people []connector.Profile) ([]connector.Result, error) {
	invalid, err := b.report(ctx, p.Info.Import.InvalidEmails)
	if err != nil {
		return nil, fmt.Errorf("read the report of invalid addresses: %w", err)
	}
	taken, err := b.report(ctx, p.Info.Import.TakenExtIDs)
	if err != nil {
		return nil, fmt.Errorf("read the report of duplicate ids: %w", err)
	}
	results := make([]connector.Result, len(people))
	for i, one := range people {
		switch email := one.Email.Key(); {
		case invalid[email]:
			results[i] = connector.RejectedFor("Brevo says that the address is not valid.")
		case taken[email], taken[strings.ToLower(one.UserID)]:
			results[i] = connector.RejectedFor("Another contact at Brevo has this user's id.")
		default:
			results[i] = connector.Did.Outcome(connector.Synced, b.target(), "")
		}
	}
	return results, nil
}

// report reads the words of a report in lower case, because it is not documented which
// column holds the address. The call does not carry the API key, because the file may
// be on another host.
func (b *brevo) report(ctx context.Context, address string) (map[string]bool, error) {
	if address == "" {
		return nil, nil
	}
	r, err := b.client.JSON(ctx, http.MethodGet, address, nil, nil)
	if err != nil || r.Truncated {
		return nil, usersync.Errorf(usersync.CodeUnavailable, "Brevo's report of an import could not be read.").Because(err)
	}
	words := map[string]bool{}
	for _, word := range strings.FieldsFunc(strings.ToLower(string(r.Body)), isBetweenWords) {
		words[word] = true
	}
	return words, nil
}

func isBetweenWords(r rune) bool { return strings.ContainsRune(" \t\r\n,;\"\ufeff", r) }
