package sendgrid

import (
	"bytes"
	"context"
	"encoding/csv"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"usersync/internal/connector"
)

var _ connector.Confirmer = (*client)(nil)

// job is how far SendGrid has come with a push.
type job struct {
	// Status is pending, completed, errored (some contacts failed) or failed (all contacts
	// failed). The counts leave out contacts that did not change.
	Status  string `json:"status"`
	Results struct {
		Created   int    `json:"created_count"`
		Errored   int    `json:"errored_count"`
		ErrorsURL string `json:"errors_url"`
	} `json:"results"`
}

// Confirm asks how a job went.
func (c *client) Confirm(ctx context.Context, id string, people []connector.Profile) ([]connector.Result, error) {
	var j job
	answer, err := c.call(ctx, http.MethodGet, "/v3/marketing/contacts/imports/"+url.PathEscape(id), nil, &j)
	if connector.NotFound(answer) {
		return nil, connector.ErrNoJob
	}
	if err != nil {
		return nil, fmt.Errorf("read how the job went: %w", err)
	}
	if !slices.Contains([]string{"pending", "completed", "errored", "failed"}, j.Status) {
		return nil, connector.Unexpected(platform)
	}
	if j.Status == "pending" {
		return connector.Everybody(people, connector.Working(platform, id, "")), nil
	}
	results := make([]connector.Result, len(people))
	unsure, err := c.failures(ctx, j, people, results)
	if err != nil {
		return nil, fmt.Errorf("find whom the job failed for: %w", err)
	}
	c.succeed(j, people, results, unsure)
	return results, nil
}

// pushed is what is kept of somebody whom SendGrid took.
const pushed = "pushed"

// succeed fills in the results of people who did not fail. SendGrid tells how many
// contacts were created but not which, so people who were never pushed before come
// first. unsure says that some of the people failed and nobody knows who.
func (c *client) succeed(j job, people []connector.Profile, results []connector.Result, unsure bool) {
	created := j.Results.Created
	for _, before := range []bool{false, true} {
		for i, p := range people {
			if results[i].Status != "" || before != (p.Remote == pushed) {
				continue
			}
			status := connector.Updated
			if created > 0 {
				status = connector.Added
				created--
			}
			if unsure {
				status = connector.Synced
			}
			results[i] = connector.Result{Status: status, Details: c.sentence(connector.Did, status), Remote: pushed}
		}
	}
}

// failures fills in the results of people who failed. unsure says that more people
// failed of whom nothing is known.
func (c *client) failures(ctx context.Context, j job, people []connector.Profile, results []connector.Result) (unsure bool, err error) {
	if j.Results.Errored == 0 && j.Status != "failed" {
		return false, nil
	}
	reasons := c.reasons(ctx, j.Results.ErrorsURL, people)
	for i, p := range people {
		said, known := reasons[strings.ToLower(p.Email.Display())]
		if known || j.Status == "failed" {
			results[i] = refused(p, said)
		}
	}
	if len(reasons) > 0 || j.Status == "failed" {
		return false, ctx.Err()
	}
	return c.lookForFailures(ctx, j, people, results)
}

// lookForFailures counts people as failed who are not contacts after the job.
func (c *client) lookForFailures(ctx context.Context, j job, people []connector.Profile, results []connector.Result) (unsure bool, err error) {
	var places []int
	for i, p := range people {
		if utf8.RuneCountInString(p.Email.Display()) <= maxSearched {
			places = append(places, i)
		}
	}
	absent := 0
	for part := range slices.Chunk(places, 100) {
		var addresses []string
		for _, i := range part {
			addresses = append(addresses, people[i].Email.Display())
		}
		there, err := c.search(ctx, addresses)
		if err != nil {
			return false, fmt.Errorf("search the contacts: %w", err)
		}
		for _, i := range part {
			if _, ok := there[strings.ToLower(people[i].Email.Display())]; !ok {
				results[i] = refused(people[i], "")
				absent++
			}
		}
	}
	return absent < j.Results.Errored, nil
}

// reasons reads the file of a job's errors. It returns why contacts failed, by address
// in lower case. It returns nothing if there is no file, or the file cannot be read.
func (c *client) reasons(ctx context.Context, address string, people []connector.Profile) map[string]string {
	if !c.trusted(address) {
		return nil
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil
	}
	// The address carries its own right to be read, so our key is not sent there.
	answer, err := c.http.Do(ctx, req)
	if err != nil || answer.Truncated {
		return nil
	}
	return readReasons(answer, people)
}

// fileHosts are the hosts whose files are fetched. They are SendGrid's own and the
// store that it keeps its imports in.
var fileHosts = []string{".sendgrid.com", ".sendgrid.net", ".amazonaws.com"}

// trusted reports whether a file may be fetched from an address that an answer
// named.
func (c *client) trusted(address string) bool {
	file, err := url.Parse(address)
	if err != nil || file.Host == "" || file.User != nil {
		return false
	}
	if own, err := url.Parse(c.base()); err == nil && own.Scheme == file.Scheme && own.Host == file.Host {
		return true
	}
	return file.Scheme == "https" && slices.ContainsFunc(fileHosts, func(end string) bool { return strings.HasSuffix(file.Hostname(), end) })
}

// readReasons finds people in a CSV file. Any cell may be the address. The reason is
// in the column that is named for it, or in the last one.
func readReasons(answer *connector.Response, people []connector.Profile) map[string]string {
	reader := csv.NewReader(bytes.NewReader(answer.Body))
	reader.FieldsPerRecord, reader.LazyQuotes = -1, true
	rows, err := reader.ReadAll()
	if err != nil || len(rows) == 0 {
		return nil
	}
	column := slices.IndexFunc(rows[0], func(head string) bool {
		head = strings.ToLower(head)
		return strings.Contains(head, "error") || strings.Contains(head, "reason") || strings.Contains(head, "message")
	})
	ours := map[string]bool{}
	for _, p := range people {
		ours[strings.ToLower(p.Email.Display())] = true
	}
	out := map[string]string{}
	for _, row := range rows {
		i := slices.IndexFunc(row, func(cell string) bool { return ours[strings.ToLower(strings.TrimSpace(cell))] })
		if i < 0 {
			continue
		}
		said := row[len(row)-1]
		if column >= 0 && column < len(row) {
			said = row[column]
		}
		if strings.EqualFold(said, row[i]) {
			said = ""
		}
		out[strings.ToLower(strings.TrimSpace(row[i]))] = said
	}
	return out
}
