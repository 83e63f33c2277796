package colleague_test

import (
	"database/sql"
	"fmt"
	"strings"
	"testing"

	"usersync/internal/colleague"
	"usersync/internal/directory"
	"usersync/internal/identity"
	"usersync/internal/roomtest"
	"usersync/internal/store"
	"usersync/internal/tenant"
	"usersync/internal/user"
	"usersync/internal/usersync"
)

// crowd saves n people of a domain, with names of their own and what make says of each.
func crowd(t *testing.T, o roomtest.Tenant, domain string, n int, make func(i int, given, family string) (local string, p directory.Person)) {
	t.Helper()
	people := []directory.Person{}
	for i := range n {
		given, family := fmt.Sprintf("%c%c%s", 'a'+i%26, 'a'+i/26%26, "nn"), fmt.Sprintf("%c%c%s", 'a'+i/7%26, 'a'+i%25, "ller")
		local, p := make(i, given, family)
		email, err := identity.ParseEmail(local + "@" + domain)
		if err != nil {
			t.Fatal(err)
		}
		p.Email, p.Name = email, given+" "+family
		p.Identity = user.IdentityOf(usersync.UserInput{Email: email, JobTitle: p.JobTitle})
		people = append(people, p)
	}
	if err := directory.SavePeople(t.Context(), o.Org(o.Organization.ID), o.Organization.Salt, people); err != nil {
		t.Fatal(err)
	}
}

// chosen is an address as a customer of a provider chooses one.
func chosen(i int, given, family string) string {
	return []string{given + "." + family, fmt.Sprintf("%s%d", given, 1950+i%60), given + family, fmt.Sprintf("flower%dpower", i),
		fmt.Sprintf("%s.%s%d", family, given, i%100), fmt.Sprintf("dragon_%d", i), given[:1] + family}[i%7]
}

func TestTheCustomersOfAProviderAreNotSearched(t *testing.T) {
	t.Parallel()
	roomtest.Engines(t, func(t *testing.T, s *store.Store, _ *sql.DB) {
		o := roomtest.New(t, s, 0)
		crowd(t, o, "provider.example", 300, func(i int, given, family string) (string, directory.Person) {
			return chosen(i, given, family), directory.Person{Country: []string{"DE", "US", ""}[i%3]}
		})
		crowd(t, o, "few.example", 150, func(i int, given, family string) (string, directory.Person) {
			return chosen(i, given, family), directory.Person{}
		})
		crowd(t, o, "byrule.example", 300, func(_ int, given, family string) (string, directory.Person) {
			return given + "." + family, directory.Person{}
		})
		crowd(t, o, "titles.example", 300, func(i int, given, family string) (string, directory.Person) {
			title := ""
			if i%5 == 0 {
				title = "Accountant"
			}
			return chosen(i, given, family), directory.Person{JobTitle: title}
		})
		crowd(t, o, "named.example", 300, func(i int, given, family string) (string, directory.Person) {
			return chosen(i, given, family), directory.Person{CompanyName: "Named Ltd"}
		})
		search := colleague.Search{Own: []colleague.Source{colleague.Users{}, colleague.Directory{}}}
		skipped := func(settings tenant.Settings, domain, country string) string {
			t.Helper()
			email, err := identity.ParseEmail("zed@" + domain)
			if err != nil {
				t.Fatal(err)
			}
			results, err := search.Run(t.Context(), o.Org(o.Organization.ID), settings, []colleague.Target{{Email: email, Country: country}})
			if err != nil {
				t.Fatal(err)
			}
			if (results[0].Skipped == "") != (len(results[0].Found) > 0) {
				t.Errorf("%s: %d found, skipped for %q", domain, len(results[0].Found), results[0].Skipped)
			}
			return results[0].Skipped
		}
		for _, country := range []string{"", "DE", "FR"} {
			if got := skipped(tenant.Settings{}, "provider.example", country); got != colleague.ReasonCustomersDomain {
				t.Errorf("%q: skipped for %q", country, got)
			}
		}
		for domain := range strings.FieldsSeq("few.example byrule.example titles.example named.example") {
			if got := skipped(tenant.Settings{}, domain, ""); got != "" {
				t.Errorf("%s is skipped for %q", domain, got)
			}
		}
		if got := skipped(tenant.Settings{CompanyDomains: []string{"provider.example"}}, "provider.example", ""); got != "" {
			t.Errorf("a declared company is skipped for %q", got)
		}
	})
}
