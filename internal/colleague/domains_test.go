package colleague

import (
	"testing"

	"usersync/internal/tenant"
)

func TestAnOrganizationsWordOnADomainGoesFirst(t *testing.T) {
	t.Parallel()
	settings := tenant.Settings{
		PersonalDomains: []string{"Mail.example", "bücher.example", "corp.example"},
		CompanyDomains:  []string{"acm.org", "eu.mail.example", "hkbn.net"},
	}
	for address, want := range map[string]string{
		"ann@acme.example": "", "ann@mail.example": ReasonPersonalEmail, "ann@us.mail.example": ReasonPersonalEmail, "ann@bücher.example": ReasonPersonalEmail,
		"ann@eu.mail.example": "", "ann@acm.org": "", "ann@cs.acm.org": "", "ann@ieee.org": ReasonMembershipEmail, "ann@hkbn.net": "",
		"info@acm.org": ReasonRoleAddress, "ann@gmail.com": ReasonPersonalEmail,
	} {
		p := newPlan(settings)
		if _, reason := p.add(Target{Email: email(t, address)}); reason != want {
			t.Errorf("%s: %q, want %q", address, reason, want)
		}
	}
}

func TestPeopleAtPersonalDomainsAreNobodysColleagues(t *testing.T) {
	t.Parallel()
	settings := tenant.Settings{PersonalDomains: []string{"home.acme.example"}}
	g := &group{domains: newDomains(settings), companies: acme}
	answer := []answered{{answers: []Answer{{People: []Candidate{candidate(t, "ben@home.acme.example", "", "", ""), candidate(t, "carl@acme.example", "", "", "")}}}}}
	if got := addresses(rank(Target{Email: email(t, "ann@acme.example")}, g.members(answer))); len(got) != 1 || got[0] != "carl@acme.example" {
		t.Errorf("found %v", got)
	}
}
