package colleague

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"usersync/internal/identity"
	"usersync/internal/store"
	"usersync/internal/tenant"
)

// AliasReason says what speaks for two domains being one company's.
type AliasReason string

// The reasons.
const (
	// AliasSamePeople: more people than chance makes have one name and one local part
	// under both domains.
	AliasSamePeople AliasReason = "same_people"
	// AliasCountryTwins: the domains differ in the suffix only (acme.com, acme.de).
	AliasCountryTwins AliasReason = "country_twins"
)

// AliasReasons lists every reason.
var AliasReasons = []AliasReason{AliasSamePeople, AliasCountryTwins}

// AliasSuggestion is two domains that may be one company's, and the evidence.
type AliasSuggestion struct {
	Domains []string      `json:"domains"` // two, in ascending order
	Reasons []AliasReason `json:"reasons"`
	// People are how many people each of the domains has among those examined.
	People []int `json:"people"`
	// SamePeople is how many of them have one name and one local part under both.
	SamePeople int `json:"samePeople"`
}

// AliasSuggestions are what speaks for aliases among the people of an organization.
type AliasSuggestions struct {
	// Items are the strongest first, MaxAliasSuggestions at most.
	Items []AliasSuggestion `json:"items"`
	// Examined is how many users and people of the directory were looked at.
	Examined int `json:"examined"`
	// Complete is false when there are more: MaxAliasExamined of each are looked at, in
	// the order of addresses, so that one local part's domains stand together.
	Complete bool `json:"complete"`
}

const (
	// MaxAliasSuggestions is how many pairs of domains are suggested at once.
	MaxAliasSuggestions = 50
	// MaxAliasExamined is how many users, and how many people of the directory, are
	// looked at: reading them takes about a second.
	MaxAliasExamined = 50_000
	// minSamePeople is how many people two domains share at least to be suggested.
	minSamePeople = 3
	// chanceOfOne is how often two people of two companies have one name and one local
	// part by chance: that of the commonest full names among a million people.
	chanceOfOne = 1e-5
	// beyondChance is how many times as many as chance makes there must be.
	beyondChance = 5
	// maxDomainsOfOne bounds the pairs that one local part makes. What more domains than
	// this have is a first name.
	maxDomainsOfOne = 10
)

var aliasPeopleStatement = store.Define("colleague.aliasPeople", `
SELECT * FROM (SELECT email_key, name, company FROM people WHERE organization_id = $1 ORDER BY email_key LIMIT $2) AS p
UNION ALL
SELECT * FROM (SELECT email_key, CASE WHEN name <> '' THEN name ELSE trim(first_name || ' ' || last_name) END, company
    FROM users WHERE organization_id = $1 ORDER BY email_key LIMIT $2) AS u`)

// aliasRow is one user or person of the directory.
type aliasRow struct{ key, name, company string }

// SuggestAliases returns pairs of domains that may be one company's: those that the
// organization has neither joined nor dismissed. Nothing is joined by it.
func SuggestAliases(ctx context.Context, o *store.Org, settings tenant.Settings) (AliasSuggestions, error) {
	count := 0
	rows, err := store.Collect(ctx, o.Reader(), aliasPeopleStatement, nil, func(scan func(...any) error) (r aliasRow, err error) {
		count++
		return r, scan(&r.key, &r.name, &r.company)
	}, o.ID(), MaxAliasExamined)
	if err != nil {
		return AliasSuggestions{}, fmt.Errorf("read whom domains share: %w", err)
	}
	found := newAliasSearch(settings)
	for _, r := range rows {
		found.take(r)
	}
	return AliasSuggestions{Items: found.suggestions(), Examined: count, Complete: count < MaxAliasExamined}, nil
}

// pair is two companies, the first before the second.
type pair struct{ first, second string }

func pairOf(a, b string) pair { return pair{min(a, b), max(a, b)} }

// aliasSearch collects what speaks for aliases.
type aliasSearch struct {
	domains *domains
	decided map[pair]bool
	people  map[string]map[string]bool // by company: the addresses
	// byLocal are the people of each local part, by company; one of each.
	byLocal map[string]map[string]identity.NameForms
}

func newAliasSearch(settings tenant.Settings) *aliasSearch {
	s := &aliasSearch{
		domains: newDomains(settings), decided: map[pair]bool{},
		people: map[string]map[string]bool{}, byLocal: map[string]map[string]identity.NameForms{},
	}
	for _, group := range s.domains.aliasGroups(settings.AliasDomains) {
		s.decide(group)
	}
	for _, list := range settings.DismissedAliases {
		var companies []string
		for _, domain := range list {
			companies = append(companies, s.domains.aliasCompany(domain))
		}
		s.decide(companies)
	}
	return s
}

func (s *aliasSearch) decide(companies []string) {
	for i, a := range companies {
		for _, b := range companies[:i] {
			s.decided[pairOf(a, b)] = true
		}
	}
}

func (s *aliasSearch) take(r aliasRow) {
	at := strings.LastIndexByte(r.key, '@')
	if r.company == "" || at < 0 || s.domains.kindOf(r.key[at+1:]) != identity.Work {
		return
	}
	if s.people[r.company] == nil {
		s.people[r.company] = map[string]bool{}
	}
	s.people[r.company][r.key] = true
	forms := identity.FormsOfName(r.name)
	if len(forms.Exact) == 0 || forms.IsOneWord() {
		return
	}
	local, _, _ := strings.Cut(r.key[:at], "+")
	if s.byLocal[local] == nil {
		s.byLocal[local] = map[string]identity.NameForms{}
	}
	s.byLocal[local][r.company] = forms
}

// suggestions returns what the people speak for.
func (s *aliasSearch) suggestions() []AliasSuggestion {
	same := s.samePeople()
	twins := s.twins()
	items := []AliasSuggestion{}
	for p := range maps.Keys(eitherOf(same, twins)) {
		if s.decided[p] {
			continue
		}
		item := AliasSuggestion{Domains: []string{p.first, p.second}, People: []int{len(s.people[p.first]), len(s.people[p.second])}, SamePeople: same[p]}
		byChance := float64(item.People[0]) * float64(item.People[1]) * chanceOfOne
		if item.SamePeople >= minSamePeople && float64(item.SamePeople) >= beyondChance*byChance {
			item.Reasons = append(item.Reasons, AliasSamePeople)
		}
		if twins[p] {
			item.Reasons = append(item.Reasons, AliasCountryTwins)
		}
		if len(item.Reasons) > 0 {
			items = append(items, item)
		}
	}
	slices.SortFunc(items, stronger)
	return items[:min(len(items), MaxAliasSuggestions)]
}

func stronger(a, b AliasSuggestion) int {
	return cmp.Or(
		cmp.Compare(b.SamePeople, a.SamePeople),
		cmp.Compare(b.People[0]+b.People[1], a.People[0]+a.People[1]),
		slices.Compare(a.Domains, b.Domains),
	)
}

// eitherOf returns the pairs of both.
func eitherOf(same map[pair]int, twins map[pair]bool) map[pair]bool {
	all := maps.Clone(twins)
	for p := range same {
		all[p] = true
	}
	return all
}

// samePeople counts, for each pair of companies, those with one name and one local part.
func (s *aliasSearch) samePeople() map[pair]int {
	same := map[pair]int{}
	for _, people := range s.byLocal {
		if len(people) < 2 || len(people) > maxDomainsOfOne {
			continue
		}
		companies := slices.Sorted(maps.Keys(people))
		for i, a := range companies {
			for _, b := range companies[:i] {
				if share(people[a].Exact, people[b].Exact) {
					same[pairOf(a, b)]++
				}
			}
		}
	}
	return same
}

func share(a, b []string) bool {
	return slices.ContainsFunc(a, func(form string) bool { return slices.Contains(b, form) })
}

// twins returns the pairs of companies whose domains differ in the suffix only.
func (s *aliasSearch) twins() map[pair]bool {
	byName := map[string][]string{}
	for company := range s.people {
		if name, ok := identity.CutSuffix(company); ok {
			byName[name] = append(byName[name], company)
		}
	}
	twins := map[pair]bool{}
	for name, companies := range byName {
		// Names so short belong to many, and names under so many suffixes too.
		if len(name) < 3 || len(companies) > maxDomainsOfOne {
			continue
		}
		for i, a := range companies {
			for _, b := range companies[:i] {
				twins[pairOf(a, b)] = true
			}
		}
	}
	return twins
}
