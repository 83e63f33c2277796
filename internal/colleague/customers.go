package colleague

import (
	"context"
	"fmt"
	"strings"

	"usersync/internal/store"
)

// Hundreds of people with unrelated names and no titles at one domain are the customers
// of a provider that no list has. Companies have titles, or say their name, or give
// addresses by a rule; customers choose their own.
const (
	// minSample is how many people of a domain are looked at before anything is said
	// of it: most of those that one query reads.
	minSample = 60
	// minCustomers is how many people a domain has at least, so that a company without
	// titles is taken for one as long as it is not large.
	minCustomers = 200
	// maxOneShape is which part of a provider's addresses is of one shape at most. Of
	// the addresses of a company that has a rule, 8 of 10 and more follow it.
	maxOneShape = 0.6
	// minNamed is of which part of the people the name is known at least.
	minNamed = 0.5
)

// looksLikeCustomers reports whether a pool may be of a provider's customers.
func (p *pool) looksLikeCustomers() bool {
	if len(p.members) < minSample {
		return false
	}
	shapes, companies := map[string]int{}, map[string]int{}
	named := 0
	for i := range p.members {
		m := &p.members[i]
		if m.JobTitle != "" {
			return false
		}
		if len(m.forms.Exact) > 0 {
			named++
		}
		if m.CompanyName != "" {
			companies[m.CompanyName]++
		}
		shapes[shapeOf(m)]++
	}
	all := float64(len(p.members))
	return float64(named) >= minNamed*all && float64(most(shapes)) <= maxOneShape*all && float64(most(companies)) <= maxOneShape*all
}

func most(counts map[string]int) int {
	highest := 0
	for _, n := range counts {
		highest = max(highest, n)
	}
	return highest
}

// shapeOf says how a local part is made of a name: first.last is "F.L", flast2 is
// "fL9"; w stands for letters that the name does not have.
func shapeOf(m *member) string {
	local := m.Key[:max(strings.LastIndexByte(m.Key, '@'), 0)]
	var words []string
	if len(m.forms.Exact) > 0 {
		words = strings.Fields(m.forms.Exact[0])
	}
	var shape strings.Builder
	for local != "" {
		part, n := shapeOfStart(local, words)
		if last := shape.String(); !strings.HasSuffix(last, part) || part != "9" && part != "w" {
			shape.WriteString(part)
		}
		local = local[n:]
	}
	return shape.String()
}

// shapeOfStart returns the shape of the beginning of a local part, and its length.
func shapeOfStart(local string, words []string) (shape string, n int) {
	if strings.IndexByte("._-", local[0]) >= 0 {
		return local[:1], 1
	}
	if '0' <= local[0] && local[0] <= '9' {
		return "9", 1
	}
	for i, word := range words {
		if strings.HasPrefix(local, word) {
			return nameShape(i, len(words), "FML"), len(word)
		}
	}
	for i, word := range words {
		if word[0] == local[0] {
			return nameShape(i, len(words), "fml"), 1
		}
	}
	return "w", 1
}

// nameShape returns the letter for one of several words of a name: the first, one in
// the middle, the last.
func nameShape(i, words int, letters string) string {
	switch i {
	case 0:
		return letters[:1]
	case words - 1:
		return letters[2:]
	}
	return letters[1:2]
}

// customersStatement counts the people of companies, up to $2, and those of them
// whose department is known, one at most: by the indexes, and no more of a large
// company than of a small one.
var customersStatement = store.Define("colleague.customers", `
SELECT r.company,
    (SELECT count(*) FROM (SELECT 1 FROM people x WHERE `+ofCompany+` LIMIT $2) AS p) +
    (SELECT count(*) FROM (SELECT 1 FROM users x WHERE `+ofCompany+` LIMIT $2) AS u),
    (SELECT count(*) FROM (SELECT 1 FROM people x WHERE `+withDepartment+` LIMIT 1) AS p) +
    (SELECT count(*) FROM (SELECT 1 FROM users x WHERE `+withDepartment+` LIMIT 1) AS u)
FROM {rows}`, store.Col("company", store.Text)).Unsorted()

// The keys are those of the index on companies and departments: the people without a
// department come first.
const (
	departmentKey  = `x.organization_id || '/' || x.company || '/' || x.department`
	upToTheEnd     = departmentKey + ` < $1 || '/' || r.company || '0' AND x.company <> ''`
	ofCompany      = departmentKey + ` >= $1 || '/' || r.company || '/' AND ` + upToTheEnd
	withDepartment = departmentKey + ` > $1 || '/' || r.company || '/' AND ` + upToTheEnd
)

// customersOf returns which of the groups are of a provider's customers. Only those that
// look so are asked for.
func customersOf(ctx context.Context, org *store.Org, groups []*group, answers []answered) (map[*group]bool, error) {
	companies := map[string]*group{}
	for _, g := range groups {
		if g != nil && len(g.companies) == 1 && !g.domains.declared(g.companies[0]) && g.members(answers).looksLikeCustomers() {
			companies[g.companies[0]] = g
		}
	}
	if len(companies) == 0 {
		return nil, nil
	}
	set := customersStatement.Rows(len(companies))
	for company := range companies {
		set.Add(company)
	}
	suspected := map[string]bool{}
	_, err := store.Collect(ctx, org.GenericPlan(), customersStatement, set, func(scan func(...any) error) (struct{}, error) {
		var company string
		var people, told int
		err := scan(&company, &people, &told)
		suspected[company] = people >= minCustomers && told == 0
		return struct{}{}, err
	}, org.ID(), minCustomers)
	if err != nil {
		return nil, fmt.Errorf("count the people of a domain: %w", err)
	}
	customers := map[*group]bool{}
	for _, g := range groups {
		if g != nil && len(g.companies) == 1 && suspected[g.companies[0]] {
			customers[g] = true
		}
	}
	return customers, nil
}
