package colleague

import (
	"cmp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"usersync/internal/person"
	"usersync/internal/store"
)

// member is one person of a group's company: what all records of one mailbox
// say together.
type member struct {
	store.Candidate // Key is the canonical key
	// name numbers the full name within the group: equal numbers are the same
	// name. 0 is no full name.
	name int
}

// members returns the people the answers hold for the group, in ascending
// order of Key. It is worked out once and shared by the group's targets.
func (g *group) members(answers [][][]store.Candidate) []member {
	if g.pooled {
		return g.pool
	}
	var records []record
	for _, answer := range answers {
		for _, candidates := range answer[g.firstQuery : g.firstQuery+len(g.companies)] {
			records = g.appendRecords(records, candidates)
		}
	}
	g.pool, g.pooled = numberNames(mergeMailboxes(records)), true
	return g.pool
}

// record is what one source says of one address.
type record struct {
	key string // the canonical key
	*store.Candidate
}

// appendRecords appends those candidates who are people of the company.
func (g *group) appendRecords(records []record, candidates []store.Candidate) []record {
	records = slices.Grow(records, len(candidates))
	for i := range candidates {
		c := &candidates[i]
		if g.owns(c.Email.Domain()) && person.KindOf(c.Email) == person.Work {
			records = append(records, record{person.CanonicalKey(c.Email), c})
		}
	}
	return records
}

// owns reports whether a domain is the company's. Most addresses are at the
// registrable domain itself, which needs no look at the public suffix list.
func (g *group) owns(domain string) bool {
	return slices.Contains(g.companies, domain) || slices.Contains(g.companies, person.Company(domain))
}

// mergeMailboxes makes one member of all records of a mailbox. A mailbox that
// was deleted under one of its addresses is left out under all.
func mergeMailboxes(records []record) []member {
	slices.SortFunc(records, precedence)
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

func isDeleted(r record) bool { return r.Status == store.ColleagueDeleted }

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

// merged returns the first record, its gaps filled from the others.
func merged(records []record) member {
	m := member{Candidate: *records[0].Candidate}
	m.Key = records[0].key
	for _, r := range records[1:] {
		m.fill(r.Candidate)
	}
	return m
}

func (m *member) fill(c *store.Candidate) {
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

// numberNames sets the number of each member's full name.
func numberNames(members []member) []member {
	numbers := make(map[string]int, len(members))
	var buffer [128]byte
	for i := range members {
		name, words := appendName(buffer[:0], members[i].Name)
		if words < 2 {
			continue
		}
		n, ok := numbers[string(name)]
		if !ok {
			n = len(numbers) + 1
			numbers[string(name)] = n
		}
		members[i].name = n
	}
	return members
}

// appendName appends the words of a name in lower case, one space between
// them, and returns how many there are. A name of one word is no full name: a
// company has many an Anna.
func appendName(dst []byte, name string) ([]byte, int) {
	words, inWord := 0, false
	for _, r := range name {
		if !unicode.IsLetter(r) && !unicode.IsMark(r) && !unicode.IsNumber(r) {
			inWord = false
			continue
		}
		if !inWord {
			words++
			if words > 1 {
				dst = append(dst, ' ')
			}
		}
		inWord = true
		dst = utf8.AppendRune(dst, unicode.ToLower(r))
	}
	return dst, words
}
