package klaviyo

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"

	"usersync/internal/connector"
	"usersync/internal/usersync"
)

var _ connector.Confirmer = (*klaviyo)(nil)

// Confirm reads how a job went and whom it failed for.
func (k *klaviyo) Confirm(ctx context.Context, job string, people []connector.Profile) ([]connector.Result, error) {
	id, left := connector.JobOf(job)
	var answer struct {
		Data struct {
			Attributes struct {
				Status string `json:"status"`
				Failed int    `json:"failed_count"`
			} `json:"attributes"`
		} `json:"data"`
	}
	path := "/api/profile-bulk-import-jobs/" + url.PathEscape(id)
	response, err := k.call(ctx, http.MethodGet, path, nil, &answer)
	if connector.NotFound(response) {
		return nil, connector.ErrNoJob
	}
	if err != nil {
		return nil, fmt.Errorf("read how the job went: %w", err)
	}
	switch answer.Data.Attributes.Status {
	case "queued", "processing":
		return connector.Everybody(people, connector.Working(platform, job, "")), nil
	case "cancelled":
		return connector.Everybody(people, connector.RejectedFor("Klaviyo cancelled the import.")), nil
	case "complete":
	default:
		return nil, usersync.Errorf(usersync.CodeUnavailable, "Klaviyo did not say how the import went.")
	}
	done := connector.Did.Outcome(connector.Synced, k.target(), "")
	if left {
		done = connector.Unsubscribed("", k.leftSentence(connector.Did))
	}
	results := connector.Everybody(people, done)
	if answer.Data.Attributes.Failed == 0 {
		return results, nil
	}
	return results, k.markFailed(ctx, path, people, results)
}

// markFailed reads the errors of a job and writes them into the results. If an error
// names nobody, everybody whom no other error names is in doubt.
func (k *klaviyo) markFailed(ctx context.Context, path string, people []connector.Profile, results []connector.Result) error {
	failures, err := k.importErrors(ctx, path)
	if err != nil {
		clear(results)
		return fmt.Errorf("find whom the job failed for: %w", err)
	}
	byAddress := map[string]int{}
	for i, p := range people {
		byAddress[p.Email.Key()] = i
	}
	named := map[int]bool{}
	doubt := len(failures) == 0
	for _, f := range failures {
		i, ok := byAddress[strings.ToLower(f.Attributes.Payload.address())]
		if !ok {
			i = position(f.Attributes.Source.Pointer, len(people))
		}
		if i < 0 {
			doubt = true
			continue
		}
		results[i], named[i] = connector.RejectedFor(f.Attributes.said()), true
	}
	if !doubt {
		return nil
	}
	for i := range results {
		if !named[i] {
			results[i] = connector.Result{}
		}
	}
	return usersync.Errorf(usersync.CodeUnavailable, "Klaviyo's import failed for people it does not name.")
}

// importError is one person that a job failed for.
type importError struct {
	Attributes struct {
		fault
		Payload payload `json:"original_payload"`
	} `json:"attributes"`
}

// payload is what was sent of the person, which Klaviyo shows in one of two ways.
type payload struct {
	Email      string `json:"email"`
	Attributes struct {
		Email string `json:"email"`
	} `json:"attributes"`
}

func (p payload) address() string {
	if p.Email != "" {
		return p.Email
	}
	return p.Attributes.Email
}

// importErrors reads all pages of a job's errors.
func (k *klaviyo) importErrors(ctx context.Context, path string) ([]importError, error) {
	var out []importError
	query := url.Values{"page[size]": {"100"}}
	for range 10_000 / page { // as many as a job can have
		var answer struct {
			Data  []importError `json:"data"`
			Links struct {
				Next string `json:"next"`
			} `json:"links"`
		}
		if _, err := k.call(ctx, http.MethodGet, path+"/import-errors?"+query.Encode(), nil, &answer); err != nil {
			return nil, fmt.Errorf("read a page of errors: %w", err)
		}
		out = append(out, answer.Data...)
		next, err := url.Parse(answer.Links.Next)
		if err != nil || answer.Links.Next == "" {
			return out, nil
		}
		// Only the cursor is taken, because the link may lead anywhere.
		cursor := next.Query().Get("page[cursor]")
		if cursor == "" {
			return out, nil
		}
		query = maps.Clone(query)
		query.Set("page[cursor]", cursor)
	}
	return out, nil
}
