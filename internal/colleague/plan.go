package colleague

import (
	"slices"

	"usersync/internal/identity"
	"usersync/internal/usersync"
)

// Reasons a step was skipped.
const (
	ReasonPersonalEmail      = "personal_email"
	ReasonDisposableEmail    = "disposable_email"
	ReasonRoleAddress        = "role_address"
	ReasonNoCompany          = "no_company"
	ReasonColleaguesDisabled = "colleagues_disabled"
)

// plan collects the queries of a set of targets: targets of the same company,
// country and department share theirs.
type plan struct {
	aliases map[string][]string
	groups  map[CandidateQuery]*group
	queries []CandidateQuery
}

// group is what the same queries are asked for: one company, under all its
// domains, one country and one department.
type group struct {
	companies  []string // registrable domains
	firstQuery int      // the group has one query per company, from here on
	pool       *pool
}

func newPlan(aliasDomains [][]string) *plan {
	return &plan{aliases: aliasGroups(aliasDomains), groups: map[CandidateQuery]*group{}}
}

// add plans the search for t and returns its group, or why there is no search.
func (p *plan) add(t Target) (*group, string) {
	company, reason := companyOf(t.Email)
	if reason != "" {
		return nil, reason
	}
	companies, ok := p.aliases[company]
	if !ok {
		companies = []string{company}
	}
	q := CandidateQuery{Company: companies[0], Country: t.Country, Department: identity.Department(t.JobTitle)}
	if g, ok := p.groups[q]; ok {
		return g, ""
	}
	g := &group{companies: companies, firstQuery: len(p.queries)}
	p.groups[q] = g
	for _, q.Company = range companies {
		p.queries = append(p.queries, q)
	}
	return g, ""
}

// companyOf returns the company an address tells, or the reason it tells none.
func companyOf(e usersync.Email) (company, reason string) {
	switch identity.KindOf(e) {
	case identity.Personal:
		return "", ReasonPersonalEmail
	case identity.Disposable:
		return "", ReasonDisposableEmail
	case identity.Role:
		return "", ReasonRoleAddress
	}
	company = identity.Company(e.Domain())
	if company == "" {
		return "", ReasonNoCompany
	}
	return company, ""
}

// aliasGroups returns, for each company that has declared aliases, all its
// domains in ascending order. Lists that share a domain are one company.
func aliasGroups(declared [][]string) map[string][]string {
	if len(declared) == 0 {
		return nil
	}
	groups := map[string][]string{}
	for _, list := range declared {
		var all []string
		for _, domain := range list {
			company := aliasCompany(domain)
			if company != "" {
				all = append(append(all, company), groups[company]...)
			}
		}
		slices.Sort(all)
		all = slices.Compact(all)
		for _, company := range all {
			groups[company] = all
		}
	}
	return groups
}

// aliasCompany returns the company behind a declared domain. A mail provider's
// domain is none, whoever declares it.
func aliasCompany(domain string) string {
	address, err := identity.ParseEmail("someone@" + domain)
	if err != nil {
		return ""
	}
	company, _ := companyOf(address)
	return company
}
