package brevo

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"usersync/internal/connector"
	"usersync/internal/usersync"
)

var _ connector.Confirmer = (*brevo)(nil)

// process is how an import goes.
type process struct {
	Status string `json:"status"`
	Info   struct {
		// Import holds the addresses of reports, or null, by what they are about. All that
		// Brevo names are read, also those that it did not have when this was written.
		Import map[string]any `json:"import"`
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
	case "queued", "in_process":
	default:
		return nil, connector.Unexpected(platform)
	}
	return connector.Everybody(people, connector.Working(platform, job, "")), nil
}

// completed reads who was left out.
func (b *brevo) completed(ctx context.Context, p process, people []connector.Profile) ([]connector.Result, error) {
	results := connector.Everybody(people, connector.Did.Outcome(connector.Synced, b.target(), ""))
	doubt := false
	for _, about := range slices.Sorted(maps.Keys(p.Info.Import)) {
		address, _ := p.Info.Import[about].(string)
		words, lines, err := b.report(ctx, address)
		if err != nil {
			return nil, fmt.Errorf("read the report %s: %w", about, err)
		}
		named := false
		for i, one := range people {
			if slices.ContainsFunc(b.namesOf(one, about), func(name string) bool { return words[name] }) {
				results[i], named = connector.RejectedFor(leftOutFor(about)), true
			}
		}
		doubt = doubt || lines > 1 && !named
	}
	if !doubt {
		return results, nil
	}
	for i, r := range results {
		if r.Status != connector.Failed {
			results[i] = connector.Result{}
		}
	}
	return results, usersync.Errorf(usersync.CodeUnavailable, "Brevo left people out of the import whom it does not name.")
}

// namesOf are the words, in lower case, that a report may name a person by.
func (b *brevo) namesOf(p connector.Profile, about string) []string {
	names := []string{p.Email.Key()}
	switch {
	case strings.Contains(about, "ext_id"):
		names = append(names, strings.ToLower(p.UserID))
	case strings.Contains(about, "contact_id"):
		id, _ := split(p.Remote)
		names = append(names, id)
	case strings.HasPrefix(about, "duplicate_"):
		values, _ := b.values(p)
		for _, name := range phones {
			if number := connector.Text(values[name]); number != "" {
				names = append(names, number, strings.TrimPrefix(number, "+"))
			}
		}
	}
	return slices.DeleteFunc(names, func(name string) bool { return name == "" })
}

// leftOutFor is why Brevo left a person out.
func leftOutFor(about string) string {
	switch about {
	case "invalid_emails":
		return "Brevo says that the address is not valid."
	case "duplicate_ext_id":
		return "Another contact at Brevo has this user's id."
	case "duplicate_phone_id", "duplicate_whatsapp_id", "duplicate_landline_number_id":
		return "Another contact at Brevo has this user's telephone number."
	case "duplicate_email_id", "duplicate_contact_id":
		return "Brevo says that this is the contact of somebody else."
	}
	return "Brevo left the contact out of the import: " + about + "."
}

// report reads the words of a report in lower case, because it is not documented which
// column holds what, and counts its lines, of which the first names the columns. The
// call does not carry the API key, because the file may be on another host.
func (b *brevo) report(ctx context.Context, address string) (words map[string]bool, lines int, err error) {
	if address == "" {
		return nil, 0, nil
	}
	r, err := b.client.JSON(ctx, http.MethodGet, address, nil, nil)
	if err != nil || r.Truncated {
		return nil, 0, usersync.Errorf(usersync.CodeUnavailable, "Brevo's report of an import could not be read.").Because(err)
	}
	words = map[string]bool{}
	for _, word := range strings.FieldsFunc(strings.ToLower(string(r.Body)), isBetweenWords) {
		words[word] = true
	}
	return words, strings.Count(strings.TrimSpace(string(r.Body)), "\n") + 1, nil
}

func isBetweenWords(r rune) bool { return strings.ContainsRune(" \t\r\n,;\"\ufeff", r) }
