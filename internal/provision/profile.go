package provision

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"usersync/internal/identity"
	"usersync/internal/scim"
	"usersync/internal/user"
	"usersync/internal/usersync"
)

// groupsAttribute is the attribute of a user that lists the names of their groups.
const groupsAttribute = "groups"

// errNoAddress is the refusal of a user without an address: users are known by it.
var errNoAddress = scim.Refuse(scim.InvalidValue, "emails must hold an e-mail address, or userName must be one")

// addressOf returns the address of a user: the primary one, else that of work, else the
// first, else the userName. It is zero where none of them is one.
func addressOf(r scim.Resource) usersync.Email {
	list, _ := r["emails"].([]any)
	for _, text := range append(inOrder(list), r.Text("userName")) {
		if email, err := identity.ParseEmail(text); err == nil {
			return email
		}
	}
	return usersync.Email{}
}

// inOrder returns the values of an attribute, the primary one first, then those of work.
func inOrder(list []any) (out []string) {
	rank := func(one any) int {
		m, _ := one.(map[string]any)
		switch kind, _ := m["type"].(string); {
		case m["primary"] == true:
			return 0
		case strings.EqualFold(kind, "work"):
			return 1
		}
		return 2
	}
	sorted := slices.Clone(list)
	slices.SortStableFunc(sorted, func(a, b any) int { return rank(a) - rank(b) })
	for _, one := range sorted {
		m, _ := one.(map[string]any)
		if text, _ := m["value"].(string); text != "" {
			out = append(out, text)
		}
	}
	return out
}

// addressesOf returns all addresses of a user, in lower case and with blanks around each, to
// search in.
func addressesOf(r scim.Resource) string {
	list, _ := r["emails"].([]any)
	out := " "
	for _, text := range inOrder(list) {
		out += addressKey(text) + " "
	}
	return out
}

// addressKey returns an address as addressesOf writes it.
func addressKey(text string) string { return strings.ReplaceAll(strings.ToLower(text), " ", "") }

// profile is what a resource tells of a user.
type profile struct {
	fields     map[usersync.Field]string
	attributes map[string]string
}

// profileOf returns what a resource tells of a user. The attributes have the names that
// look-ups show them by.
func profileOf(r scim.Resource) profile {
	p := profile{map[usersync.Field]string{}, map[string]string{}}
	name, _ := r["name"].(map[string]any)
	full := r.Text("displayName")
	if full == "" {
		full = scim.Resource(name).Text("formatted")
	}
	p.field(usersync.FieldFirstName, scim.Resource(name).Text("givenName"))
	p.field(usersync.FieldLastName, scim.Resource(name).Text("familyName"))
	p.field(usersync.FieldName, full)
	p.field(usersync.FieldJobTitle, r.Text("title"))
	for attribute, of := range map[string]string{
		"nickName": "nickName", "userType": "userType", "locale": "locale", "preferredLanguage": "preferredLanguage", "timeZone": "timezone",
	} {
		p.attribute(attribute, r.Text(of))
	}
	p.contact(r)
	p.address(r)
	enterprise, _ := r[scim.EnterpriseUser].(map[string]any)
	for attribute, of := range map[string]string{
		"employeeNumber": "employeeNumber", "costCenter": "costCenter", "companyName": "organization", "division": "division", "department": "department",
	} {
		p.attribute(attribute, scim.Resource(enterprise).Text(of))
	}
	return p
}

func (p profile) field(f usersync.Field, value string) {
	if value = strings.TrimSpace(value); value != "" {
		p.fields[f] = value
	}
}

func (p profile) attribute(name, value string) {
	if value != "" {
		p.attributes[name] = value
	}
}

// contact reads telephone numbers.
func (p profile) contact(r scim.Resource) {
	list, _ := r["phoneNumbers"].([]any)
	if all := inOrder(list); len(all) > 0 {
		p.attribute("phoneNumber", all[0])
	}
	for attribute, kind := range map[string]string{"workPhone": "work", "cellPhone": "mobile"} {
		for _, one := range list {
			if m, _ := one.(map[string]any); strings.EqualFold(scim.Resource(m).Text("type"), kind) {
				p.attribute(attribute, scim.Resource(m).Text("value"))
			}
		}
	}
}

// address reads the primary postal address, else that of work, else the first.
func (p profile) address(r scim.Resource) {
	list, _ := r["addresses"].([]any)
	var best scim.Resource
	for _, one := range list {
		m, _ := one.(map[string]any)
		a := scim.Resource(m)
		if best == nil || a["primary"] == true || best["primary"] != true && strings.EqualFold(a.Text("type"), "work") && !strings.EqualFold(best.Text("type"), "work") {
			best = a
		}
	}
	street := best.Text("streetAddress")
	if street == "" {
		street = best.Text("formatted")
	}
	p.attribute("address", street)
	p.attribute("city", best.Text("locality"))
	p.attribute("region", best.Text("region"))
	p.attribute("postalCode", best.Text("postalCode"))
	if country, ok := identity.ParseCountry(best.Text("country")); ok {
		p.field(usersync.FieldCountry, country)
	}
}

// check refuses what a user has no room for.
func (p profile) check() error {
	for _, f := range slices.Sorted(maps.Keys(p.fields)) {
		if utf8.RuneCountInString(p.fields[f]) > user.MaxField {
			return scim.Refuse(scim.InvalidValue, string(f)+" must have at most "+strconv.Itoa(user.MaxField)+" characters")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(p.attributes)) {
		if len(p.attributes[name]) > user.MaxValue {
			return scim.Refuse(scim.InvalidValue, name+" must have at most "+strconv.Itoa(user.MaxValue)+" bytes")
		}
	}
	return nil
}

// since returns what the profile says that an earlier one did not: what only others have
// told of the user stays as it is. A country is never cleared.
func (p profile) since(before profile) usersync.UserInput {
	in := usersync.UserInput{Attributes: map[string]any{}}
	for f, to := range map[usersync.Field]*string{
		usersync.FieldFirstName: &in.FirstName, usersync.FieldLastName: &in.LastName, usersync.FieldName: &in.Name,
		usersync.FieldJobTitle: &in.JobTitle, usersync.FieldCountry: &in.Country,
	} {
		switch now := p.fields[f]; {
		case now == before.fields[f]:
		case now != "":
			*to = now
		case f != usersync.FieldCountry:
			in.Cleared = append(in.Cleared, f)
		}
	}
	slices.Sort(in.Cleared)
	for name := range before.attributes {
		if _, still := p.attributes[name]; !still {
			in.Attributes[name] = nil
		}
	}
	for name, value := range p.attributes {
		if value != before.attributes[name] {
			in.Attributes[name] = value
		}
	}
	return in
}

// saysNothing reports whether nothing is said of a user.
func saysNothing(in usersync.UserInput) bool {
	return in.Removed == nil && len(in.Attributes) == 0 && len(in.Cleared) == 0 &&
		in.FirstName == "" && in.LastName == "" && in.Name == "" && in.JobTitle == "" && in.Country == ""
}
