// Package hunter looks colleagues up at Hunter (hunter.io): its domain search
// names the people it has seen with an address at a company's domain. An answer
// is kept, for each one costs the organization a search.
package hunter

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"usersync/internal/colleague"
	"usersync/internal/foreign"
	"usersync/internal/identity"
	"usersync/internal/outbound"
	"usersync/internal/tenant"
	"usersync/internal/usersync"
)

// Source is Hunter as a source of the colleague search.
type Source struct {
	// Client makes the calls; its Timeout bounds each.
	Client *outbound.Client
}

const (
	// endpoint is Hunter's own; an organization's settings may name another.
	endpoint = "https://api.hunter.io/v2"
	// page is the most people that one call returns.
	page = 100
	// keptFor is how long an answer counts.
	keptFor = 30 * 24 * time.Hour
	// pausedFor is how long Hunter is left alone after it refused a call for good
	// reason: a limit that is used up, or a key it does not know.
	pausedFor = 5 * time.Minute
	// maxText is how much is kept of a name, a title or a domain, in bytes. The
	// settings may name any server.
	maxText = 200
	// maxAddress is the longest address, in bytes (RFC 5321, section 4.5.3.1.3).
	maxAddress = 254
	// atOnce bounds the calls of one search. Hunter allows 15 a second.
	atOnce = 4
)

// pauseOf stands in the place of a company for the whole service, as these settings
// reach it. So other settings lift the pause.
func pauseOf(settings tenant.ColleagueSource) string {
	sum := sha256.Sum256([]byte(settings.URL + "\x00" + settings.APIKey.Reveal()))
	return "*" + hex.EncodeToString(sum[:16])
}

// Name is tenant.SourceHunter.
func (*Source) Name() string { return tenant.SourceHunter }

// Find answers each query with the people at its company, whatever country or
// department it asks for.
func (s *Source) Find(ctx context.Context, ask colleague.Ask) ([]colleague.Answer, error) {
	companies, paused := companiesOf(ask.Queries), pauseOf(ask.Settings)
	kept, err := colleague.SourceAnswers(ctx, ask.Org, s.Name(), append(companies, paused))
	if err != nil {
		return nil, err
	}
	if why := kept[paused]; why != "" {
		return nil, refusal(usersync.Code(why))
	}
	found := s.lookUp(ctx, ask, companies, kept)
	answers := make([]colleague.Answer, len(ask.Queries))
	for i, q := range ask.Queries {
		answers[i] = found[q.Company]
	}
	return answers, nil
}

func companiesOf(queries []colleague.CandidateQuery) []string {
	seen := map[string]bool{}
	var companies []string
	for _, q := range queries {
		if !seen[q.Company] {
			seen[q.Company] = true
			companies = append(companies, q.Company)
		}
	}
	return companies
}

// lookUp answers from what is kept, and asks Hunter for the rest.
func (s *Source) lookUp(ctx context.Context, ask colleague.Ask, companies []string, kept map[string]string) map[string]colleague.Answer {
	answers := make([]colleague.Answer, len(companies))
	var group errgroup.Group
	group.SetLimit(atOnce)
	for i, company := range companies { //lint:loop each answer is kept as soon as Hunter has given it
		if text, ok := kept[company]; ok {
			answers[i] = people(text)
			continue
		}
		group.Go(func() error {
			answers[i] = s.askFor(ctx, ask, company)
			return nil
		})
	}
	_ = group.Wait() // What fails for a company is in its answer.
	found := make(map[string]colleague.Answer, len(companies))
	for i, company := range companies {
		found[company] = answers[i]
	}
	return found
}

// askFor asks Hunter about one company and keeps the answer.
func (s *Source) askFor(ctx context.Context, ask colleague.Ask, company string) colleague.Answer {
	found, err := s.call(ctx, ask.Settings, company)
	switch code := usersync.CodeOf(err); code {
	case "":
		err = colleague.KeepSourceAnswer(ctx, ask.Org, colleague.SourceAnswer{
			Source: s.Name(), Company: company, People: keysOf(found), Text: found.without, For: keptFor,
		})
	case usersync.CodeRateLimited, usersync.CodeDisconnected:
		why := func(map[string]bool) (string, error) { return string(code), nil }
		if kept := colleague.KeepSourceAnswer(ctx, ask.Org, colleague.SourceAnswer{
			Source: s.Name(), Company: pauseOf(ask.Settings), Text: why, For: pausedFor,
		}); kept != nil {
			err = kept
		}
	}
	if err != nil {
		return colleague.Answer{Err: err}
	}
	return found.answer()
}

// call makes the request and returns what is worth keeping of the answer.
func (s *Source) call(ctx context.Context, settings tenant.ColleagueSource, company string) (entries, error) {
	query := url.Values{"domain": {company}, "limit": {"100"}, "type": {"personal"}}
	address := strings.TrimSuffix(cmp.Or(settings.URL, endpoint), "/") + "/domain-search?" + query.Encode()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, usersync.Errorf(usersync.CodeInvalid, "The URL of the source cannot be used.").Because(err)
	}
	request.Header.Set("X-Api-Key", settings.APIKey.Reveal())
	request.Header.Set("Accept", "application/json")
	response, err := s.Client.Do(ctx, request)
	if err != nil {
		return nil, fmt.Errorf("ask Hunter: %w", err)
	}
	if code := codeOf(response.Status); code != "" {
		return nil, refusal(code)
	}
	return digest(response)
}

// codeOf knows what differs at Hunter: 403 is its rate limit, 429 the limit of
// the plan, 404 and 451 (a removal on legal grounds) are answers without people.
func codeOf(status int) usersync.Code {
	switch status {
	case http.StatusForbidden, http.StatusTooManyRequests:
		return usersync.CodeRateLimited
	case http.StatusNotFound, http.StatusUnavailableForLegalReasons:
		return ""
	}
	return outbound.CodeOfStatus(status)
}

func refusal(code usersync.Code) error {
	switch code {
	case usersync.CodeRateLimited:
		return usersync.Errorf(code, "Hunter's limit is used up.")
	case usersync.CodeDisconnected:
		return usersync.Errorf(code, "Hunter refuses the API key.")
	case usersync.CodeRejected:
		return usersync.Errorf(code, "Hunter refuses the domain.")
	}
	return usersync.Errorf(usersync.CodeUnavailable, "Hunter did not answer usefully.")
}

// reply is the part of Hunter's answer that is read.
type reply struct {
	Data struct {
		Domain       string `json:"domain"`
		Organization string `json:"organization"`
		Emails       []struct {
			Value        string `json:"value"`
			FirstName    string `json:"first_name"`
			LastName     string `json:"last_name"`
			Position     string `json:"position"`
			Verification struct {
				Status string `json:"status"`
			} `json:"verification"`
			Sources []struct {
				LastSeenOn string `json:"last_seen_on"`
			} `json:"sources"`
		} `json:"emails"`
	} `json:"data"`
}

// entry is one person as an answer is kept. The address is in the form of its key, by
// which an erasure finds it.
type entry struct {
	Email    string `json:"email"`
	Name     string `json:"name,omitempty"`
	JobTitle string `json:"jobTitle,omitempty"`
	Company  string `json:"company,omitempty"`
	Website  string `json:"website,omitempty"`
	Seen     int64  `json:"seen,omitempty"` // microseconds
}

// entries are the people of an answer.
type entries []entry

// digest reads an answer. What is no address, or one that Hunter knows to be wrong, is
// left out.
func digest(response *outbound.Response) (entries, error) {
	var r reply
	if response.Status == http.StatusOK {
		if err := json.Unmarshal(response.Body, &r); err != nil || response.Truncated {
			return nil, refusal(usersync.CodeUnavailable)
		}
	}
	out := entries{}
	for _, e := range r.Data.Emails {
		email, err := identity.ParseEmail(e.Value)
		if err != nil || e.Verification.Status == "invalid" || len(out) == page || !foreign.Fits(e.Value, maxAddress) {
			continue
		}
		seen := int64(0)
		for _, s := range e.Sources {
			if t, err := time.Parse(time.DateOnly, s.LastSeenOn); err == nil {
				seen = max(seen, t.UnixMicro())
			}
		}
		name := foreign.Fit(strings.TrimSpace(e.FirstName+" "+e.LastName), maxText)
		out = append(out, entry{Email: email.Key(), Name: name, JobTitle: foreign.Fit(e.Position, maxText),
			Company: foreign.Fit(r.Data.Organization, maxText), Website: website(foreign.Fit(r.Data.Domain, maxText)), Seen: seen})
	}
	return out, nil
}

func website(domain string) string {
	if domain == "" {
		return ""
	}
	return "https://" + domain
}

func keysOf(list entries) []string {
	keys := make([]string, len(list))
	for i, e := range list {
		keys[i] = e.Email
	}
	return keys
}

// without returns the answer as it is kept, without those who were erased.
func (list entries) without(erased map[string]bool) (string, error) {
	kept := slices.DeleteFunc(slices.Clone(list), func(e entry) bool { return erased[e.Email] })
	text, err := json.Marshal(kept)
	return string(text), err
}

// people reads an answer as it was kept.
func people(text string) colleague.Answer {
	var list entries
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		return colleague.Answer{Err: refusal(usersync.CodeUnavailable)}
	}
	return list.answer()
}

func (list entries) answer() (a colleague.Answer) {
	for _, e := range list {
		email, err := identity.ParseEmail(e.Email)
		if err != nil {
			continue
		}
		a.People = append(a.People, colleague.Candidate{Email: email, Name: e.Name, JobTitle: e.JobTitle, CompanyName: e.Company,
			Website: e.Website, UpdatedAt: e.Seen})
	}
	return a
}
