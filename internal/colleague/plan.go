package colleague

import (
	"usersync/internal/identity"
	"usersync/internal/tenant"
)

// Reasons a step was skipped.
const (
	ReasonPersonalEmail      = "personal_email"
	ReasonMembershipEmail    = "membership_email" // an association's address for its members
	ReasonCustomersDomain    = "customers_domain" // the people there are the customers of a provider, by what we know of them
	ReasonDisposableEmail    = "disposable_email"
	ReasonRoleAddress        = "role_address"
	ReasonNoCompany          = "no_company"
	ReasonColleaguesDisabled = "colleagues_disabled"
)

// plan collects the queries of a set of targets: targets of the same company,
// country and department share theirs.
type plan struct {
	domains *domains
	aliases map[string][]string
	groups  map[CandidateQuery]*group
	queries []CandidateQuery
}

// group is what the same queries are asked for: one company, under all its
// domains, one country and one department.
type group struct {
	domains    *domains
	companies  []string // registrable domains
	firstQuery int      // the group has one query per company, from here on
	pool       *pool
}

func newPlan(settings tenant.Settings) *plan {
	d := newDomains(settings)
	return &plan{domains: d, aliases: d.aliasGroups(settings.AliasDomains), groups: map[CandidateQuery]*group{}}
}

// add plans the search for t and returns its group, or why there is no search.
func (p *plan) add(t Target) (*group, string) {
	company, reason := p.domains.companyOf(t.Email)
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
	g := &group{domains: p.domains, companies: companies, firstQuery: len(p.queries)}
	p.groups[q] = g
	for _, q.Company = range companies {
		p.queries = append(p.queries, q)
	}
	return g, ""
}
