package colleague

import (
	"fmt"
	"reflect"
	"testing"

	"usersync/internal/identity"
	"usersync/internal/tenant"
)

// suggest returns what people speak for, each "address;name".
func suggest(settings tenant.Settings, people ...[2]string) []AliasSuggestion {
	s := newAliasSearch(settings)
	for _, p := range people {
		email, _ := identity.ParseEmail(p[0])
		s.take(aliasRow{email.Key(), p[1], identity.CompanyOf(email)})
	}
	return s.suggestions()
}

// team is n people of a domain, from a number on.
func team(domain string, from, n int) [][2]string {
	people := make([][2]string, n)
	for i := range n {
		people[i] = [2]string{fmt.Sprintf("given%d.family%d@%s", from+i, from+i, domain), fmt.Sprintf("Given%d Family%d", from+i, from+i)}
	}
	return people
}

func join(teams ...[][2]string) (all [][2]string) {
	for _, t := range teams {
		all = append(all, t...)
	}
	return all
}

func TestDomainsThatShareMorePeopleThanChanceMakesAreSuggested(t *testing.T) {
	t.Parallel()
	few := join(team("acme.example", 0, 10), team("beta.example", 7, 10))      // three of ten
	less := join(team("acme.example", 0, 10), team("beta.example", 8, 10))     // two
	many := join(team("acme.example", 0, 900), team("beta.example", 880, 900)) // twenty of 900: chance makes eight
	for name, test := range map[string]struct {
		settings tenant.Settings
		people   [][2]string
		want     []AliasSuggestion
	}{
		"enough":           {tenant.Settings{}, few, []AliasSuggestion{{[]string{"acme.example", "beta.example"}, []AliasReason{AliasSamePeople}, []int{10, 10}, 3}}},
		"too few":          {tenant.Settings{}, less, []AliasSuggestion{}},
		"by chance":        {tenant.Settings{}, many, []AliasSuggestion{}},
		"joined already":   {tenant.Settings{AliasDomains: [][]string{{"beta.example", "x.example", "us.acme.example"}}}, few, []AliasSuggestion{}},
		"dismissed":        {tenant.Settings{DismissedAliases: [][]string{{"beta.example", "acme.example"}}}, few, []AliasSuggestion{}},
		"a provider":       {tenant.Settings{}, join(team("acme.example", 0, 10), team("hkbn.net", 0, 10)), []AliasSuggestion{}},
		"country twins":    {tenant.Settings{}, join(team("acme.com.au", 0, 1), team("acme.co.nz", 5, 1)), []AliasSuggestion{{[]string{"acme.co.nz", "acme.com.au"}, []AliasReason{AliasCountryTwins}, []int{1, 1}, 0}}},
		"a name too short": {tenant.Settings{}, join(team("ab.com.au", 0, 1), team("ab.co.nz", 5, 1)), []AliasSuggestion{}},
		"both": {tenant.Settings{}, join(team("acme.com.au", 0, 4), team("acme.co.nz", 0, 4)),
			[]AliasSuggestion{{[]string{"acme.co.nz", "acme.com.au"}, []AliasReason{AliasSamePeople, AliasCountryTwins}, []int{4, 4}, 4}}},
		"one local part, other names": {tenant.Settings{}, [][2]string{{"a@acme.example", "Ann Lee"}, {"a@beta.example", "Al Ford"}, {"b@acme.example", "Bo Hill"}, {"b@beta.example", "Bea Wood"},
			{"c@acme.example", "Cy Dale"}, {"c@beta.example", "Coy Marsh"}}, []AliasSuggestion{}},
	} {
		if got := suggest(test.settings, test.people...); !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s: %+v, want %+v", name, got, test.want)
		}
	}
}
