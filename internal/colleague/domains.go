package colleague

import (
	"slices"
	"strings"

	"usersync/internal/identity"
	"usersync/internal/tenant"
	"usersync/internal/usersync"
)

// domains say what kind a domain is for one organization: by its settings first, and
// then by what is known of domains everywhere.
type domains struct {
	personal, companies map[string]bool
	// judged is what was found out: most people of a search share a few domains.
	judged map[string]identity.AddressKind
}

func newDomains(settings tenant.Settings) *domains {
	return &domains{domainSet(settings.PersonalDomains), domainSet(settings.CompanyDomains), map[string]identity.AddressKind{}}
}

// domainSet returns domains as they stand in addresses.
func domainSet(list []string) map[string]bool {
	set := make(map[string]bool, len(list))
	for _, domain := range list {
		if address, err := identity.ParseEmail("someone@" + domain); err == nil {
			set[address.Domain()] = true
		}
	}
	return set
}

func (d *domains) kindOf(domain string) identity.AddressKind {
	kind, ok := d.judged[domain]
	if !ok {
		kind = d.judge(domain)
		d.judged[domain] = kind
	}
	return kind
}

// judge lets the longest domain decide that the settings name.
func (d *domains) judge(domain string) identity.AddressKind {
	for rest, more := domain, true; more; _, rest, more = strings.Cut(rest, ".") {
		switch {
		case d.companies[rest]:
			return identity.Work
		case d.personal[rest]:
			return identity.Personal
		}
	}
	return identity.KindOfDomain(domain)
}

// declared reports whether the organization says that a domain is a company's.
func (d *domains) declared(company string) bool { return d.companies[company] }

// companyOf returns the company an address tells, or the reason it tells none.
func (d *domains) companyOf(e usersync.Email) (company, reason string) {
	switch d.kindOf(e.Domain()) {
	case identity.Personal:
		return "", ReasonPersonalEmail
	case identity.Membership:
		return "", ReasonMembershipEmail
	case identity.Disposable:
		return "", ReasonDisposableEmail
	case identity.Role:
		return "", ReasonRoleAddress
	}
	if identity.IsRoleName(e.Local()) {
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
func (d *domains) aliasGroups(declared [][]string) map[string][]string {
	if len(declared) == 0 {
		return nil
	}
	groups := map[string][]string{}
	for _, list := range declared {
		var all []string
		for _, domain := range list {
			company := d.aliasCompany(domain)
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
func (d *domains) aliasCompany(domain string) string {
	address, err := identity.ParseEmail("someone@" + domain)
	if err != nil {
		return ""
	}
	company, _ := d.companyOf(address)
	return company
}
