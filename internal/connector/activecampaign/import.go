package activecampaign

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"usersync/internal/connector"
	"usersync/internal/usersync"
)

// Many people go by imports, in two stages where there is a list. It is not known whether
// an import subscribes people again who have left the list. So the first import does not
// name the list. It tells the numbers of the contacts that it made, and with the numbers
// one read finds 100 people and how they stand to the list. Only who was a contact before
// and whose number is not known takes a call of their own. The second import names the
// list, and has those people whom the list does not know.

const (
	// maxImport is the most bytes of contacts in one import. ActiveCampaign takes 399,999
	// bytes with the frame around them.
	maxImport = 390_000
	// maxAlone is how many people one question after an import looks up by a call each.
	// At the limit of calls, they take 11 s. The others are looked up the next time.
	maxAlone = 50
	// listNext is the prefix of the id of an import that is followed by one with the list.
	listNext = "list:"
)

// row is a person in an import.
type row struct {
	Email     string     `json:"email"`
	FirstName *string    `json:"first_name,omitempty"`
	LastName  *string    `json:"last_name,omitempty"`
	Phone     *string    `json:"phone,omitempty"`
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

// row makes the row of a person, without the list.
func (a *activeCampaign) row(c contact) row {
	out := row{Email: c.Email, FirstName: c.FirstName, LastName: c.LastName, Phone: c.Phone, Tags: a.settings.Tags}
	for _, f := range c.Fields {
		out.Fields = append(out.Fields, rowField{json.Number(f.Field), f.Value})
	}
	return out
}

// pushImport makes the first import.
func (a *activeCampaign) pushImport(ctx context.Context, people []connector.Profile) ([]connector.Result, error) {
	if err := a.seeList(ctx); err != nil {
		return nil, err
	}
	fields, err := a.fields(ctx)
	if err != nil {
		return nil, fmt.Errorf("find the custom fields: %w", err)
	}
	results := make([]connector.Result, len(people))
	var entries []connector.Entry
	for i, p := range people {
		text, err := json.Marshal(a.row(a.contact(p, fields)))
		if err != nil || len(text) > maxImport {
			results[i] = connector.RejectedFor("The contact is longer than the 400 KB that ActiveCampaign takes.")
			continue
		}
		entries = append(entries, connector.Entry{Place: i, Remote: p.Remote, Body: text})
	}
	prefix := ""
	if a.settings.List != "" {
		prefix = listNext
	}
	return results, a.imports(prefix).HandIn(ctx, entries, results)
}

// imports makes imports whose ids get a prefix.
func (a *activeCampaign) imports(prefix string) connector.Jobs {
	return connector.Jobs{Platform: platform, MaxBytes: maxImport, Make: func(ctx context.Context, people []connector.Entry) (string, map[int]string, error) {
		job, guilty, err := a.makeImport(ctx, people)
		return prefix + job, guilty, err
	}}
}

// makeImport makes one import. If one contact is wrong, ActiveCampaign refuses all of
// them.
func (a *activeCampaign) makeImport(ctx context.Context, people []connector.Entry) (string, map[int]string, error) {
	body := map[string]any{"contacts": connector.Bodies(people)}
	if a.settings.Quiet {
		body["exclude_automations"] = true
	}
	var answer struct {
		Job string `json:"batchId"`
	}
	response, err := a.call(ctx, http.MethodPost, "/import/bulk_import", body, &answer)
	if err == nil && answer.Job == "" {
		err = usersync.Errorf(usersync.CodeUnavailable, "ActiveCampaign's answer named no import.")
	}
	if err != nil {
		return "", refusalOf(response).guilty(len(people)), fmt.Errorf("make an import: %w", err)
	}
	return answer.Job, nil, nil
}

// subscribeAll subscribes people who were imported, after the import with this job that
// told the numbers of new contacts. results holds those who have one already. Who could
// not be looked up yet goes on waiting for the job.
func (a *activeCampaign) subscribeAll(ctx context.Context, job string, made []string, people []connector.Profile, results []connector.Result) error {
	known, err := a.standings(ctx, made, people, results)
	var entries []connector.Entry
	for i, p := range people {
		one, looked := known[p.Email.Key()]
		switch {
		case results[i].Status != "":
		case !looked:
			results[i] = connector.Working(platform, job, "")
		case one.left:
			results[i] = connector.Unsubscribed(string(one.contact), a.leftSentence(connector.Did))
		case one.on:
			results[i] = connector.Did.Outcome(connector.Synced, a.target(), string(one.contact))
		default:
			row, failed := json.Marshal(row{Email: p.Email.Display(), Subscribe: []rowList{{json.Number(a.settings.List)}}})
			if failed != nil {
				return fmt.Errorf("write a row of the list: %w", failed)
			}
			entries = append(entries, connector.Entry{Place: i, Remote: string(one.contact), Body: row})
		}
	}
	if err != nil && !usersync.CodeOf(err).Retryable() {
		return err
	}
	return a.imports("").HandIn(ctx, entries, results)
}

// standings looks people up who have no result yet, by their address in lower case. Those
// whose numbers are known take a call for every hundred, and the others a call each. What
// it has found counts beside an error too.
func (a *activeCampaign) standings(ctx context.Context, made []string, people []connector.Profile, results []connector.Result) (map[string]standing, error) {
	ids := slices.Clone(made)
	for i, p := range people {
		if results[i].Status == "" && connector.IsNumber(p.Remote) {
			ids = append(ids, p.Remote)
		}
	}
	slices.Sort(ids)
	known := map[string]standing{}
	for some := range slices.Chunk(slices.Compact(ids), pageSize) {
		found, err := a.search(ctx, url.Values{"ids[]": some})
		if err != nil {
			return known, fmt.Errorf("look up the contacts with a number: %w", err)
		}
		for address, one := range found {
			known[address] = one
		}
	}
	var rest []connector.Profile
	for i, p := range people {
		if _, ok := known[p.Email.Key()]; !ok && results[i].Status == "" {
			rest = append(rest, p)
		}
	}
	return known, a.lookUpEach(ctx, rest[:min(len(rest), maxAlone)], known)
}

// lookUpEach looks people up by a call each and adds them to known.
func (a *activeCampaign) lookUpEach(ctx context.Context, people []connector.Profile, known map[string]standing) error {
	type answer struct {
		address string
		standing
	}
	found := make(chan answer, len(people))
	_, err := a.client.Each(ctx, people, func(ctx context.Context, p connector.Profile) (connector.Result, error) {
		one, err := a.lookUp(ctx, p)
		if err == nil || usersync.CodeOf(err) == usersync.CodeRejected { // an address that is refused is on no list
			found <- answer{p.Email.Key(), one}
		}
		return connector.Result{}, err
	})
	close(found)
	for one := range found {
		known[one.address] = one.standing
	}
	return err
}

// seeList looks for a list that no check has seen, such as one that a call names. An
// import takes every number of a list and does not say that there is none.
func (a *activeCampaign) seeList(ctx context.Context) error {
	name := "list:" + a.settings.List
	if a.settings.List == "" || a.label(name) != "" {
		return nil
	}
	label, err := a.listName(ctx)
	if err != nil {
		return fmt.Errorf("look for the list: %w", err)
	}
	a.learn(name, label)
	return nil
}

// addressesOf are the addresses of the failures of an import, in lower case.
func addressesOf(failures []json.RawMessage) map[string]bool {
	out := map[string]bool{}
	for _, raw := range failures {
		out[addressOf(raw)] = true
	}
	return out
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
