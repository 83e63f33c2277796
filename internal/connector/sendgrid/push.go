package sendgrid

import (
	"context"
	"maps"
	"net/http"
	"slices"

	"usersync/internal/connector"
	"usersync/internal/usersync"
)

// maxResends is how often a push is made again without contacts that it was
// refused for.
const maxResends = 3

// Push hands people over; SendGrid works on them later. Somebody pushed alone is
// asked for first, as people look at the answer: who has unsubscribed from all
// mail is not made a contact, which costs. In a batch nobody is asked for; it
// changes nothing for them, as SendGrid mails nobody on its global list. A list
// that no check has seen, as a bulk call may name, is looked up too: that it is not
// there is the fault of that call and not of the connection.
func (c *client) Push(ctx context.Context, people []connector.Profile) ([]connector.Result, error) {
	if faults := c.missing(c.facts.Labels); len(faults) > 0 {
		return nil, absent(faults)
	}
	faults, err := c.findLists(ctx, maps.Clone(c.facts.Labels))
	if err != nil {
		return nil, err
	}
	if len(faults) > 0 {
		return everyone(people, noList(faults)), nil
	}
	if len(people) == 1 {
		gone, err := c.suppressed(ctx, people[0])
		if err != nil {
			return nil, err
		}
		if gone {
			return []connector.Result{skipped(people[0], "was not added")}, nil
		}
	}
	return c.put(ctx, people)
}

// everyone fails all people: halving the push would find nobody to blame.
func everyone(people []connector.Profile, why *usersync.Error) []connector.Result {
	results := make([]connector.Result, len(people))
	for i, p := range people {
		results[i] = failed(p, why)
	}
	return results
}

// put sends people, and again without those it was refused for.
func (c *client) put(ctx context.Context, people []connector.Profile) ([]connector.Result, error) {
	results := make([]connector.Result, len(people))
	left := make([]int, len(people))
	for i := range left {
		left[i] = i
	}
	var err error
	for range maxResends {
		var job string
		var refused map[int]string
		job, refused, err = c.send(ctx, people, left)
		if err == nil {
			for _, i := range left {
				results[i] = connector.Result{Status: connector.Pending, Job: job, Remote: people[i].Remote, Details: "SendGrid works on it"}
			}
			return results, nil
		}
		if len(refused) == 0 {
			break
		}
		for i, said := range refused {
			results[i] = failed(people[i], rejected(said))
		}
		left = slices.DeleteFunc(left, func(i int) bool { return results[i].Status != "" })
		if len(left) == 0 {
			return results, nil
		}
	}
	return results, err
}

// send makes one call about those of people who are left. refused tells who of
// people is to blame for an error.
func (c *client) send(ctx context.Context, people []connector.Profile, left []int) (job string, refused map[int]string, err error) {
	body := struct {
		Lists    []string         `json:"list_ids"`
		Contacts []map[string]any `json:"contacts"`
	}{Lists: append([]string{}, c.settings.ListIDs...)}
	for _, i := range left {
		body.Contacts = append(body.Contacts, c.contact(people[i]))
	}
	var taken struct {
		Job string `json:"job_id"`
	}
	answer, err := c.call(ctx, http.MethodPut, "/v3/marketing/contacts", body, &taken)
	switch {
	case err == nil && taken.Job == "":
		return "", nil, usersync.Errorf(usersync.CodeUnavailable, "SendGrid's answer names no job.")
	case err == nil:
		return taken.Job, nil, nil
	case isMissing(answer):
		return "", nil, &usersync.Error{Code: usersync.CodeDisconnected, Message: "SendGrid does not know a list of the settings.",
			Fields: []usersync.FieldError{{Field: "settings.listIds", Message: "name a list that the account does not have"}}}
	case answer == nil || answer.Status != http.StatusBadRequest:
		return "", nil, err
	}
	refused = map[int]string{}
	for k, said := range refusalOf(answer).contacts() {
		if k < len(left) {
			refused[left[k]] = said
		}
	}
	return "", refused, err
}
