package colleague

import (
	"cmp"
	"slices"
	"strings"

	"usersync/internal/identity"
)

// pool is the people of a group's company that the sources know.
type pool struct {
	members []member // in ascending order of Key
	names   names
}

// member is one mailbox: what all records of it say together.
type member struct {
	Candidate // Key is the canonical key
	person
	// name is the number of the name; 0 is no name.
	name int
	// own is how many records tell of the mailbox.
	own int
	// records is how many tell of this person, under all addresses.
	records int
	// same are the other members who are the same person.
	same []*member
}

// members returns the people the answers hold for the group. It is worked out
// once and shared by the group's targets.
func (g *group) members(answers []answered) *pool {
	if g.pool != nil {
		return g.pool
	}
	var records []record
	for source, a := range answers {
		for _, answer := range a.answers[g.firstQuery : g.firstQuery+len(g.companies)] {
			records = g.appendRecords(records, source, answer.People)
		}
	}
	g.pool = newPool(mergeMailboxes(records))
	return g.pool
}

// record is what one source says of one address.
type record struct {
	key    string // the canonical key
	source int
	*Candidate
}

// appendRecords appends those candidates who are people of the company.
func (g *group) appendRecords(records []record, source int, candidates []Candidate) []record {
	records = slices.Grow(records, len(candidates))
	for i := range candidates {
		c := &candidates[i]
		if domain := c.Email.Domain(); g.owns(domain) && g.domains.kindOf(domain) == identity.Work && !identity.IsRoleName(c.Email.Local()) {
			records = append(records, record{identity.CanonicalKey(c.Email), source, c})
		}
	}
	return records
}

// owns reports whether a domain is the company's. Most addresses are at the
// registrable domain itself, which needs no look at the public suffix list.
func (g *group) owns(domain string) bool {
	return slices.Contains(g.companies, domain) || slices.Contains(g.companies, identity.Company(domain))
}

// mergeMailboxes makes one member of all records of a mailbox. A mailbox that
// was deleted under one of its addresses is left out under all.
func mergeMailboxes(records []record) []member {
	slices.SortFunc(records, func(a, b record) int { return cmp.Or(precedence(a, b), cmp.Compare(a.source, b.source)) })
	members := make([]member, 0, len(records))
	for len(records) > 0 {
		n := 1
		for n < len(records) && records[n].key == records[0].key {
			n++
		}
		if !slices.ContainsFunc(records[:n], isDeleted) {
			members = append(members, merged(records[:n]))
		}
		records = records[n:]
	}
	return members
}

func isDeleted(r record) bool { return r.Status == Deleted }

// precedence orders records by mailbox, and those of one mailbox by who
// speaks first: a user, who has joined whatever a directory says, the address
// without a tag, the newest. The rest only makes the order total, so that the
// outcome does not depend on the order of the sources.
func precedence(a, b record) int {
	if c := strings.Compare(a.key, b.key); c != 0 {
		return c
	}
	return cmp.Or(
		first(a.IsUser, b.IsUser),
		first(a.Email.Key() == a.key, b.Email.Key() == b.key),
		cmp.Compare(b.UpdatedAt, a.UpdatedAt),
		cmp.Compare(a.Email.Key(), b.Email.Key()),
		cmp.Compare(a.Email.Display(), b.Email.Display()),
		cmp.Compare(a.Name, b.Name),
		cmp.Compare(a.JobTitle, b.JobTitle),
		cmp.Compare(a.Department, b.Department),
		cmp.Compare(a.Seniority, b.Seniority),
		cmp.Compare(a.Country, b.Country),
		cmp.Compare(a.CompanyName, b.CompanyName),
		cmp.Compare(a.Website, b.Website),
		cmp.Compare(a.Photo, b.Photo),
		cmp.Compare(a.Status, b.Status),
	)
}

// first orders true before false.
func first(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	}
	return 1
}

// merged returns the first record, its gaps filled from the others. What a
// source says twice in the same words, it says once.
func merged(records []record) member {
	m := member{Candidate: *records[0].Candidate, own: 1}
	m.Key = records[0].key
	for i, r := range records[1:] {
		if last := records[i]; last.source == r.source && precedence(last, r) == 0 {
			continue
		}
		m.own++
		m.fill(r.Candidate)
	}
	return m
}

func (m *member) fill(c *Candidate) {
	if m.JobTitle == "" {
		m.JobTitle, m.Department, m.Seniority = c.JobTitle, c.Department, c.Seniority
	}
	m.Name = cmp.Or(m.Name, c.Name)
	m.Country = cmp.Or(m.Country, c.Country)
	m.CompanyName = cmp.Or(m.CompanyName, c.CompanyName)
	m.Website = cmp.Or(m.Website, c.Website)
	m.Photo = cmp.Or(m.Photo, c.Photo)
	m.UpdatedAt = max(m.UpdatedAt, c.UpdatedAt)
}

// newPool numbers the names of the members and adds up what is known of each.
func newPool(members []member) *pool {
	p := &pool{members: members}
	for i := range members {
		m := &members[i]
		m.person = newPerson(identity.FormsOfName(m.Name), m.Key, m.JobTitle, m.Country)
		m.name = p.names.add(m.forms)
	}
	for i := range members {
		m := &members[i]
		m.name = p.names.root(m.name)
		p.names.link(m.name, m.forms)
	}
	p.addUpRecords()
	return p
}

func (p *pool) addUpRecords() {
	all := newPersons(len(p.members))
	for i := range p.members {
		m := &p.members[i]
		m.records = m.own
		m.same = all.same(m, p.names.links[m.name])
		for _, other := range m.same {
			m.records += other.own
			other.records += m.own
			other.same = append(other.same, m)
		}
		all.add(m)
	}
}
