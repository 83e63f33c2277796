package colleague

import (
	"cmp"
	"slices"
	"strings"

	"usersync/internal/identity"
)

// MaxColleagues is how many are kept of those found: what the colleague list
// shows at most.
const MaxColleagues = 50

// Points of a match, in hundredths of the score; they add up to 100. One
// company is the condition of being found at all, so it gives a third to
// everybody. The others stand in the order in which they make it likelier that
// two people know each other, and each outweighs all that stand below it
// together: country (same office), department (same work), rank (same level;
// half for the next one up or down), and what we know of the person: that they
// are a user, how many more records than one tell of them (two at most count),
// and that they have a profile. Among equal scores the most recently changed
// goes first, so recency decides wherever the traits do not.
const (
	pointsCompany      = 35
	pointsCountry      = 33
	pointsDepartment   = 17
	pointsSeniority    = 8
	pointsNeighbour    = 4
	pointsKnownUser    = 3
	pointsFurther      = 1 // for each further record
	pointsKnownProfile = 2
	maxFurther         = 2
)

// Reasons of a match.
const (
	ReasonSameCompany    = "same_company"    // the registrable domain, or an alias of it
	ReasonSameCountry    = "same_country"    // both countries are known and equal
	ReasonSameDepartment = "same_department" // both job titles tell the same department
	ReasonNearSeniority  = "near_seniority"  // both job titles tell ranks at most one apart
	ReasonKnownUser      = "known_user"      // the organization has them as a user
	ReasonSeveralRecords = "several_records" // more than one source or record tells of them
	ReasonKnownProfile   = "known_profile"   // name and job title are known
)

// maxReasons is how many reasons one match can have.
const maxReasons = 7

// seeker is what of a target is compared.
type seeker struct {
	key        string
	country    string
	department string
	seniority  int
}

func newSeeker(t Target) seeker {
	return seeker{
		key:        identity.CanonicalKey(t.Email),
		country:    t.Country,
		department: identity.Department(t.JobTitle),
		seniority:  identity.Seniority(t.JobTitle),
	}
}

// standing is a member's place in the order for one target.
type standing struct {
	points int
	*member
}

// rank returns the target's colleagues in the pool, best first: by score, then
// the most recently changed, then by address. The target is not among them, nor is
// anybody who is taken for the target under another address.
func rank(t Target, p *pool) []Match {
	s := newSeeker(t)
	own := p.selves(t, s.key)
	order := make([]standing, 0, len(p.members))
	for i := range p.members {
		if m := &p.members[i]; m.Key != s.key && !own.are(m) {
			order = append(order, standing{s.points(m), m})
		}
	}
	slices.SortFunc(order, better)
	return s.matches(keepDifferent(order))
}

// selves are the target as it was told and as it is on record.
type selves struct {
	told    person
	names   []int // that may be the target's
	records []*member
	pool    *pool
}

func (p *pool) selves(t Target, key string) selves {
	forms := identity.FormsOfName(t.Name)
	own := selves{told: newPerson(forms, key, t.JobTitle, t.Country), names: p.names.known(forms), pool: p}
	at, found := slices.BinarySearchFunc(p.members, key, func(m member, key string) int { return strings.Compare(m.Key, key) })
	if found {
		own.records = append(own.records, &p.members[at])
	}
	return own
}

// are reports whether m is the target.
func (s selves) are(m *member) bool {
	if s.told.isSame(&m.person, slices.Contains(s.names, m.name)) {
		return true
	}
	for _, record := range s.records {
		namesake := record.name != 0 && (record.name == m.name || slices.Contains(s.pool.names.links[m.name], record.name))
		if record.isSame(&m.person, namesake) {
			return true
		}
	}
	return false
}

func better(a, b standing) int {
	if a.points != b.points {
		return cmp.Compare(b.points, a.points)
	}
	if a.UpdatedAt != b.UpdatedAt {
		return cmp.Compare(b.UpdatedAt, a.UpdatedAt)
	}
	return strings.Compare(a.Email.Key(), b.Email.Key())
}

// keepDifferent returns the first MaxColleagues that are different people.
func keepDifferent(order []standing) []standing {
	kept := order[:0]
	for _, o := range order {
		if slices.ContainsFunc(o.same, func(other *member) bool { return holds(kept, other) }) {
			continue
		}
		kept = append(kept, o)
		if len(kept) == MaxColleagues {
			break
		}
	}
	return kept
}

func holds(kept []standing, m *member) bool {
	return slices.ContainsFunc(kept, func(o standing) bool { return o.member == m })
}

func (s *seeker) matches(kept []standing) []Match {
	if len(kept) == 0 {
		return nil
	}
	matches := make([]Match, len(kept))
	all := make([]string, 0, maxReasons*len(kept))
	for i, o := range kept {
		start := len(all)
		all = s.appendReasons(all, o.member)
		matches[i] = Match{
			Candidate: o.Candidate,
			Score:     float64(o.points) / 100,
			Reasons:   all[start:len(all):len(all)],
		}
	}
	return matches
}

func (s *seeker) points(m *member) int {
	points := pointsCompany + s.seniorityPoints(m)
	if s.sameCountry(m) {
		points += pointsCountry
	}
	if s.sameDepartment(m) {
		points += pointsDepartment
	}
	if m.IsUser {
		points += pointsKnownUser
	}
	points += pointsFurther * min(m.records-1, maxFurther)
	if m.hasProfile() {
		points += pointsKnownProfile
	}
	return points
}

// appendReasons says in words what points says in numbers.
func (s *seeker) appendReasons(dst []string, m *member) []string {
	dst = append(dst, ReasonSameCompany)
	if s.sameCountry(m) {
		dst = append(dst, ReasonSameCountry)
	}
	if s.sameDepartment(m) {
		dst = append(dst, ReasonSameDepartment)
	}
	if s.seniorityPoints(m) > 0 {
		dst = append(dst, ReasonNearSeniority)
	}
	if m.IsUser {
		dst = append(dst, ReasonKnownUser)
	}
	if m.records > 1 {
		dst = append(dst, ReasonSeveralRecords)
	}
	if m.hasProfile() {
		dst = append(dst, ReasonKnownProfile)
	}
	return dst
}

func (s *seeker) sameCountry(m *member) bool { return s.country != "" && s.country == m.Country }

func (s *seeker) sameDepartment(m *member) bool {
	return s.department != "" && s.department == m.Department
}

// seniorityPoints compares ranks; 0 is an unknown one and near to none.
func (s *seeker) seniorityPoints(m *member) int {
	if s.seniority == 0 || m.Seniority == 0 {
		return 0
	}
	switch s.seniority - m.Seniority {
	case 0:
		return pointsSeniority
	case 1, -1:
		return pointsNeighbour
	}
	return 0
}

func (m *member) hasProfile() bool { return m.Name != "" && m.JobTitle != "" }
