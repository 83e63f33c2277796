package klaviyo

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"usersync/internal/connector"
	"usersync/internal/outbound"
	"usersync/internal/usersync"
)

const (
	// maxJob and maxProfile are the most bytes of a job and of a profile in it.
	// Klaviyo takes 5 MB and 100 KB; the rest is for the frame around them.
	maxJob     = 4_900_000
	maxProfile = 100_000
	// page is how many profiles or errors one read asks for, Klaviyo's most.
	page = 100
	// leftJob stands before the id of a job of people who have unsubscribed.
	leftJob = "left:"
	// retries bounds how often a job is sent again without those it was refused for.
	retries = 3
	// pending is the sentence of those whose job is not done.
	pending = "User handed to Klaviyo's import"
)

// Push sends a few people one by one, more by a job.
func (k *klaviyo) Push(ctx context.Context, people []connector.Profile) ([]connector.Result, error) {
	if len(people) <= singly {
		return k.pushSingly(ctx, people)
	}
	return k.pushJobs(ctx, people)
}

func (k *klaviyo) pushSingly(ctx context.Context, people []connector.Profile) ([]connector.Result, error) {
	results, err := k.client.Each(ctx, people, k.pushOne)
	if k.settings.List == "" {
		return results, err
	}
	if failed := k.addToList(ctx, results); failed != nil {
		return results, failed
	}
	return results, err
}

// pushOne adds or updates a profile. The answer tells whether the person has left.
func (k *klaviyo) pushOne(ctx context.Context, p connector.Profile) (connector.Result, error) {
	path := "/api/profile-import"
	if k.settings.List != "" {
		path += "?" + url.Values{"additional-fields[profile]": {"subscriptions"}}.Encode()
	}
	var answer struct {
		Data person `json:"data"`
	}
	response, err := k.call(ctx, http.MethodPost, path, document{Data: k.profile(p)}, &answer)
	if err != nil {
		return connector.Result{}, err
	}
	if answer.Data.ID == "" {
		return connector.Result{}, usersync.Errorf(usersync.CodeUnavailable, "Klaviyo's answer named no profile.")
	}
	if answer.Data.left(k.settings.List) {
		return k.leftResult(answer.Data.ID), nil
	}
	status := connector.Updated
	if response.Status == http.StatusCreated {
		status = connector.Added
	}
	return connector.Result{Status: status, Details: k.did(status), Remote: answer.Data.ID}, nil
}

// addToList puts the people that were added or updated on the list, in one call.
// When it fails, none of them has arrived.
func (k *klaviyo) addToList(ctx context.Context, results []connector.Result) error {
	var members []resource
	for _, r := range results {
		if r.Status == connector.Added || r.Status == connector.Updated {
			members = append(members, resource{"profile", r.Remote})
		}
	}
	if len(members) == 0 {
		return nil
	}
	path := "/api/lists/" + url.PathEscape(k.settings.List) + "/relationships/profiles"
	response, err := k.call(ctx, http.MethodPost, path, document{Data: members}, nil)
	if err == nil {
		return nil
	}
	for i, r := range results {
		if r.Status == connector.Added || r.Status == connector.Updated {
			results[i] = connector.Result{}
		}
	}
	return k.noList(response, err)
}

// lookUp reads whom Klaviyo knows of these people, by their key.
func (k *klaviyo) lookUp(ctx context.Context, people []connector.Profile) (map[string]person, error) {
	known := map[string]person{}
	for some := range slices.Chunk(people, page) {
		addresses := make([]string, len(some))
		for i, p := range some {
			addresses[i] = quoted(p.Email.Display())
		}
		query := url.Values{
			"filter":                     {"any(email,[" + strings.Join(addresses, ",") + "])"},
			"additional-fields[profile]": {"subscriptions"},
			"fields[profile]":            {"email,subscriptions"},
			"page[size]":                 {"100"},
		}
		var answer struct {
			Data []person `json:"data"`
		}
		if _, err := k.call(ctx, http.MethodGet, "/api/profiles?"+query.Encode(), nil, &answer); err != nil {
			return nil, err
		}
		for _, one := range answer.Data {
			known[strings.ToLower(one.Attributes.Email)] = one
		}
	}
	return known, nil
}

// pushJobs sorts those out who have left and hands the rest in with the list, by
// as few jobs as their size allows.
func (k *klaviyo) pushJobs(ctx context.Context, people []connector.Profile) ([]connector.Result, error) {
	known := map[string]person{}
	if k.settings.List != "" {
		var err error
		if known, err = k.lookUp(ctx, people); err != nil {
			return nil, err
		}
	}
	results := make([]connector.Result, len(people))
	var staying, left []entry
	for i, p := range people {
		one := known[p.Email.Key()]
		text, err := json.Marshal(k.profile(p))
		switch {
		case err != nil || len(text) > maxProfile:
			results[i] = connector.Rejected(usersync.Errorf(usersync.CodeRejected, "The profile is longer than the 100 KB that Klaviyo takes."))
		case one.left(k.settings.List):
			left = append(left, entry{i, one.ID, text})
		default:
			staying = append(staying, entry{i, one.ID, text})
		}
	}
	if err := k.handIn(ctx, staying, k.settings.List, "", results); err != nil {
		return results, err
	}
	return results, k.handIn(ctx, left, "", leftJob, results)
}

// entry is one person of a job: their place in the push, their id if it is known,
// and their profile.
type entry struct {
	at   int
	id   string
	text json.RawMessage
}

// handIn makes jobs of people and writes their results.
func (k *klaviyo) handIn(ctx context.Context, people []entry, list, prefix string, results []connector.Result) error {
	for len(people) > 0 {
		size, n := 0, 0
		for n < len(people) && size+len(people[n].text) <= maxJob {
			size += len(people[n].text) + 1
			n++
		}
		if err := k.job(ctx, people[:n], list, prefix, results); err != nil {
			return err
		}
		people = people[n:]
	}
	return nil
}

// job makes one job. When it is refused for some of its people it is sent again
// without them.
func (k *klaviyo) job(ctx context.Context, people []entry, list, prefix string, results []connector.Result) error {
	for try := 0; len(people) > 0; try++ {
		id, response, err := k.makeJob(ctx, people, list)
		if err == nil {
			for _, e := range people {
				results[e.at] = connector.Result{Status: connector.Pending, Job: prefix + id, Remote: e.id, Details: pending}
			}
			return nil
		}
		guilty := guilty(response, len(people))
		if usersync.CodeOf(err) != usersync.CodeRejected || len(guilty) == 0 || try == retries {
			return k.noList(response, err)
		}
		var rest []entry
		for i, e := range people {
			if said, ok := guilty[i]; ok {
				results[e.at] = refused(said)
				continue
			}
			rest = append(rest, e)
		}
		people = rest
	}
	return nil
}

func (k *klaviyo) makeJob(ctx context.Context, people []entry, list string) (string, *outbound.Response, error) {
	profiles := make([]json.RawMessage, len(people))
	for i, e := range people {
		profiles[i] = e.text
	}
	job := map[string]any{
		"type":       "profile-bulk-import-job",
		"attributes": map[string]any{"profiles": document{Data: profiles}},
	}
	if list != "" {
		job["relationships"] = map[string]any{"lists": document{Data: []resource{{"list", list}}}}
	}
	var answer struct {
		Data resource `json:"data"`
	}
	response, err := k.call(ctx, http.MethodPost, "/api/profile-bulk-import-jobs", document{Data: job}, &answer)
	if err == nil && answer.Data.ID == "" {
		err = usersync.Errorf(usersync.CodeUnavailable, "Klaviyo's answer named no job.")
	}
	return answer.Data.ID, response, err
}

// guilty returns which of n profiles a job was refused for, with Klaviyo's words.
func guilty(response *outbound.Response, n int) map[int]string {
	out := map[int]string{}
	for _, f := range faultsOf(response) {
		if i := position(f.Source.Pointer, n); i >= 0 {
			out[i] = f.said()
		}
	}
	return out
}

func refused(said string) connector.Result {
	return connector.Rejected(usersync.Errorf(usersync.CodeRejected, "%s", connector.Quote(said)))
}

// Confirm reads how a job went, and whom it failed for.
func (k *klaviyo) Confirm(ctx context.Context, job string, people []connector.Profile) ([]connector.Result, error) {
	id, hadLeft := strings.CutPrefix(job, leftJob)
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
	if response != nil && response.Status == http.StatusNotFound {
		return nil, connector.ErrNoJob
	}
	if err != nil {
		return nil, err
	}
	switch answer.Data.Attributes.Status {
	case "queued", "processing":
		return all(people, connector.Result{Status: connector.Pending, Job: job, Details: pending}), nil
	case "cancelled":
		return all(people, refused("Klaviyo cancelled the import.")), nil
	case "complete":
	default:
		return nil, usersync.Errorf(usersync.CodeUnavailable, "Klaviyo did not say how the import went.")
	}
	done := connector.Result{Status: connector.Synced, Details: k.did(connector.Synced)}
	if hadLeft {
		done = k.leftResult("")
	}
	results := all(people, done)
	if answer.Data.Attributes.Failed == 0 {
		return results, nil
	}
	return results, k.markFailed(ctx, path, people, results)
}

func all(people []connector.Profile, r connector.Result) []connector.Result {
	results := make([]connector.Result, len(people))
	for i, p := range people {
		results[i] = r
		if results[i].Remote == "" {
			results[i].Remote = p.Remote
		}
	}
	return results
}

// markFailed reads the errors of a job and writes them into the results. An error
// that names nobody leaves all in doubt that no other names.
func (k *klaviyo) markFailed(ctx context.Context, path string, people []connector.Profile, results []connector.Result) error {
	failures, err := k.importErrors(ctx, path)
	if err != nil {
		clear(results)
		return err
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
		results[i], named[i] = refused(f.Attributes.said()), true
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
			return nil, err
		}
		out = append(out, answer.Data...)
		next, err := url.Parse(answer.Links.Next)
		if err != nil || answer.Links.Next == "" {
			return out, nil
		}
		// Only the cursor is taken: the link may lead anywhere.
		cursor := next.Query().Get("page[cursor]")
		if cursor == "" {
			return out, nil
		}
		query = maps.Clone(query)
		query.Set("page[cursor]", cursor)
	}
	return out, nil
}
