package activecampaign

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"

	"usersync/internal/connector"
	"usersync/internal/usersync"
)

const (
	// maxImport is the most bytes of contacts in one import. ActiveCampaign takes
	// 399,999 with the frame around them.
	maxImport = 390_000
	// leftJob stands before the id of an import of people who have unsubscribed.
	leftJob = "left:"
	// retries bounds how often an import is sent again without those it was
	// refused for.
	retries = 3
	// pending is the sentence of those whose import is not done.
	pending = "User handed to ActiveCampaign's import"
)

// Push sends a few people one by one, more by an import.
func (a *activeCampaign) Push(ctx context.Context, people []connector.Profile) ([]connector.Result, error) {
	if len(people) <= singly {
		return a.pushSingly(ctx, people)
	}
	return a.pushImport(ctx, people)
}

func (a *activeCampaign) pushSingly(ctx context.Context, people []connector.Profile) ([]connector.Result, error) {
	fields, err := a.fields(ctx)
	if err != nil {
		return nil, err
	}
	tags, err := a.tags(ctx)
	if err != nil {
		return nil, err
	}
	return a.client.Each(ctx, people, func(ctx context.Context, p connector.Profile) (connector.Result, error) {
		return a.pushOne(ctx, a.contact(p, fields), tags)
	})
}

// pushOne adds or updates a contact, subscribes it and tags it.
func (a *activeCampaign) pushOne(ctx context.Context, c contact, tags []id) (connector.Result, error) {
	var answer struct {
		Contact struct {
			ID id `json:"id"`
		} `json:"contact"`
	}
	response, err := a.call(ctx, http.MethodPost, "/contact/sync", map[string]any{"contact": c}, &answer)
	if err != nil {
		return connector.Result{}, noAccount(response, err)
	}
	contact := answer.Contact.ID
	if contact == "" {
		return connector.Result{}, usersync.Errorf(usersync.CodeUnavailable, "ActiveCampaign's answer named no contact.")
	}
	done := connector.Updated
	if response.Status == http.StatusCreated {
		done = connector.Added
	}
	left, err := a.subscribe(ctx, contact, done == connector.Added)
	if err != nil {
		return connector.Result{}, err
	}
	for i, tag := range tags {
		if err := a.tag(ctx, contact, a.settings.Tags[i], tag); err != nil {
			return connector.Result{}, err
		}
	}
	if left {
		return a.leftResult(contact), nil
	}
	return connector.Result{Status: done, Details: a.did(done), Remote: string(contact)}, nil
}

// tag gives a contact a tag. When that is refused the tag may have been deleted
// and perhaps made anew: it is looked up again.
func (a *activeCampaign) tag(ctx context.Context, contact id, name string, tag id) error {
	err := a.putTag(ctx, contact, tag)
	if usersync.CodeOf(err) != usersync.CodeRejected {
		return err
	}
	a.making.Lock()
	defer a.making.Unlock()
	fresh, failed := a.findOrMakeTag(ctx, name)
	if failed != nil || fresh == tag {
		return cmp.Or(failed, err)
	}
	a.learn("tag:"+name, string(fresh))
	return a.putTag(ctx, contact, fresh)
}

func (a *activeCampaign) putTag(ctx context.Context, contact, tag id) error {
	body := map[string]any{"contactTag": map[string]id{"contact": contact, "tag": tag}}
	_, err := a.call(ctx, http.MethodPost, "/contactTags", body, nil)
	return err
}

// subscribe puts a contact on the list unless the list knows it in some way
// already. It reports whether the person has left.
func (a *activeCampaign) subscribe(ctx context.Context, contact id, isNew bool) (left bool, err error) {
	if a.settings.List == "" {
		return false, nil
	}
	if !isNew {
		var answer struct {
			Lists []contactList `json:"contactLists"`
		}
		if _, err := a.call(ctx, http.MethodGet, "/contacts/"+string(contact)+"/contactLists", nil, &answer); err != nil {
			return false, err
		}
		if s := stands(contact, answer.Lists, a.settings.List); s.on {
			return s.left, nil
		}
	}
	body := map[string]any{"contactList": contactList{id(a.settings.List), contact, subscribed}}
	_, err = a.call(ctx, http.MethodPost, "/contactLists", body, nil)
	if usersync.CodeOf(err) != usersync.CodeRejected {
		return false, err
	}
	// Nothing about the person can be wrong here: is it the list?
	if _, gone := a.listName(ctx); gone != nil {
		return false, gone
	}
	return false, err
}

// row is a person in an import.
type row struct {
	Email     string     `json:"email"`
	FirstName string     `json:"first_name,omitempty"`
	LastName  string     `json:"last_name,omitempty"`
	Phone     string     `json:"phone,omitempty"`
	Tags      []string   `json:"tags,omitempty"`
	Fields    []rowField `json:"fields,omitempty"`
	Subscribe []rowList  `json:"subscribe,omitempty"`
}

type rowField struct {
	ID    json.Number `json:"id"`
	Value string      `json:"value"`
}

type rowList struct {
	List json.Number `json:"listid"`
}

func (a *activeCampaign) row(c contact, subscribe bool) row {
	out := row{Email: c.Email, FirstName: c.FirstName, LastName: c.LastName, Phone: c.Phone, Tags: a.settings.Tags}
	for _, f := range c.Fields {
		out.Fields = append(out.Fields, rowField{json.Number(f.Field), f.Value})
	}
	if subscribe {
		out.Subscribe = []rowList{{json.Number(a.settings.List)}}
	}
	return out
}

// entry is one person of an import: their place in the push, their number if it
// is known, and their row.
type entry struct {
	at   int
	id   id
	text json.RawMessage
}

// pushImport sorts those out who have left and imports the others with the list.
// It is not known whether an import brings back who has left, so they are never
// named to the list again.
func (a *activeCampaign) pushImport(ctx context.Context, people []connector.Profile) ([]connector.Result, error) {
	fields, err := a.fields(ctx)
	if err != nil {
		return nil, err
	}
	known := map[string]standing{}
	if a.settings.List != "" {
		if known, err = a.lookUpAll(ctx, people); err != nil {
			return nil, err
		}
	}
	results := make([]connector.Result, len(people))
	var staying, left []entry
	for i, p := range people {
		one := known[p.Email.Key()]
		subscribe := a.settings.List != "" && !one.on
		text, err := json.Marshal(a.row(a.contact(p, fields), subscribe))
		switch {
		case err != nil || len(text) > maxImport:
			results[i] = connector.Rejected(usersync.Errorf(usersync.CodeRejected, "The contact is longer than the 400 KB that ActiveCampaign takes."))
		case one.left:
			left = append(left, entry{i, one.contact, text})
		default:
			staying = append(staying, entry{i, one.contact, text})
		}
	}
	if err := a.handIn(ctx, staying, "", results); err != nil {
		return results, err
	}
	return results, a.handIn(ctx, left, leftJob, results)
}

// handIn makes imports of people, as few as their size allows, and writes their
// results.
func (a *activeCampaign) handIn(ctx context.Context, people []entry, prefix string, results []connector.Result) error {
	for len(people) > 0 {
		size, n := 0, 0
		for n < len(people) && size+len(people[n].text) <= maxImport {
			size += len(people[n].text) + 1
			n++
		}
		if err := a.job(ctx, people[:n], prefix, results); err != nil {
			return err
		}
		people = people[n:]
	}
	return nil
}

// job makes one import. One wrong contact has all refused: it is sent again
// without those it was refused for.
func (a *activeCampaign) job(ctx context.Context, people []entry, prefix string, results []connector.Result) error {
	for try := 0; len(people) > 0; try++ {
		rows := make([]json.RawMessage, len(people))
		for i, e := range people {
			rows[i] = e.text
		}
		body := map[string]any{"contacts": rows}
		if a.settings.Quiet {
			body["exclude_automations"] = true
		}
		var answer struct {
			Job string `json:"batchId"`
		}
		response, err := a.call(ctx, http.MethodPost, "/import/bulk_import", body, &answer)
		if err == nil && answer.Job == "" {
			return usersync.Errorf(usersync.CodeUnavailable, "ActiveCampaign's answer named no import.")
		}
		if err == nil {
			for _, e := range people {
				results[e.at] = connector.Result{Status: connector.Pending, Job: prefix + answer.Job, Remote: string(e.id), Details: pending}
			}
			return nil
		}
		guilty := refusalOf(response).guilty(len(people))
		if usersync.CodeOf(err) != usersync.CodeRejected || len(guilty) == 0 || try == retries {
			return err
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

func refused(said string) connector.Result {
	return connector.Rejected(usersync.Errorf(usersync.CodeRejected, "%s", connector.Quote(said)))
}

// Confirm reads how an import went, and whom it failed for.
func (a *activeCampaign) Confirm(ctx context.Context, job string, people []connector.Profile) ([]connector.Result, error) {
	batch, hadLeft := strings.CutPrefix(job, leftJob)
	var answer struct {
		// Status is false until there is one.
		Status  any               `json:"status"`
		Failure []json.RawMessage `json:"failure"`
	}
	query := url.Values{"batchId": {batch}}
	_, err := a.call(ctx, http.MethodGet, "/import/info?"+query.Encode(), nil, &answer)
	if usersync.CodeOf(err) == usersync.CodeRejected { // how it refuses an id that it does not know is not documented
		return nil, connector.ErrNoJob
	}
	if err != nil {
		return nil, err
	}
	switch answer.Status {
	case false, "waiting", "claimed", "active":
		return all(people, connector.Result{Status: connector.Pending, Job: job, Details: pending}), nil
	case "failed", "interrupted":
		return all(people, refused("ActiveCampaign could not finish the import.")), nil
	case "completed":
	default:
		return nil, usersync.Errorf(usersync.CodeUnavailable, "ActiveCampaign did not say how the import went.")
	}
	done := connector.Result{Status: connector.Synced, Details: a.did(connector.Synced)}
	if hadLeft {
		done = a.leftResult("")
	}
	results := all(people, done)
	failed := map[string]bool{}
	for _, raw := range answer.Failure {
		failed[addressOf(raw)] = true
	}
	for i, p := range people {
		if failed[p.Email.Key()] {
			results[i] = refused("ActiveCampaign did not import the contact: the address may be invalid, bounced or excluded.")
		}
	}
	return results, nil
}

// addressOf reads an entry of the failures: an address, or an object that holds it.
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
