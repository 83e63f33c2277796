package colleague

import (
	"slices"
	"strings"

	"usersync/internal/identity"
)

// names numbers the names of the people of one company. Names that share an exact
// form (identity.FormsOfName) have the same number, also through a third: Müller
// shares one with Muller and one with Mueller. Names of which one is a loose form of
// the other have a link: that goes no further.
type names struct {
	numbers map[string]int   // by exact form
	parents []int            // parents[n-1] is a number that n is the same as; its own when it stands for itself
	loosely map[string][]int // the numbers of the names that have a loose form
	links   map[int][]int    // by number, in both directions; complete when all names are in
}

// add returns a number for the forms of a name, 0 when there are none. It is final
// when all names are in: see root.
func (n *names) add(forms identity.NameForms) int {
	if len(forms.Exact) == 0 {
		return 0
	}
	first := n.number(forms.Exact[0])
	for _, form := range forms.Exact[1:] {
		n.join(first, n.number(form))
	}
	return first
}

func (n *names) number(form string) int {
	if number, ok := n.numbers[form]; ok {
		return number
	}
	if n.numbers == nil {
		n.numbers = map[string]int{}
	}
	number := len(n.parents) + 1
	n.parents = append(n.parents, number)
	n.numbers[form] = number
	return number
}

func (n *names) join(a, b int) {
	a, b = n.root(a), n.root(b)
	n.parents[max(a, b)-1] = min(a, b)
}

// root returns the number that stands for all names that are the same as this.
func (n *names) root(number int) int {
	for number != 0 && n.parents[number-1] != number {
		number = n.parents[number-1]
	}
	return number
}

// link notes the loose forms of a name that is in, when all names are.
func (n *names) link(number int, forms identity.NameForms) {
	if n.loosely == nil {
		n.loosely, n.links = map[string][]int{}, map[int][]int{}
	}
	for _, form := range forms.Loose {
		n.loosely[form] = append(n.loosely[form], number)
		if other := n.root(n.numbers[form]); other != 0 && other != number {
			n.links[number] = append(n.links[number], other)
			n.links[other] = append(n.links[other], number)
		}
	}
}

// known returns the numbers of the names that are in and may be the name of these
// forms.
func (n *names) known(forms identity.NameForms) []int {
	var numbers []int
	add := func(number int) {
		if number = n.root(number); number != 0 {
			numbers = append(numbers, number)
		}
	}
	for _, form := range forms.Exact {
		if number := n.root(n.numbers[form]); number != 0 {
			numbers = append(append(numbers, number), n.links[number]...)
		}
		for _, number := range n.loosely[form] {
			add(number)
		}
	}
	for _, form := range forms.Loose {
		add(n.numbers[form])
	}
	return numbers
}

// person is what tells whether two records are of one person.
type person struct {
	forms identity.NameForms
	// local is the local part of the address, without tag, full stops and underscores.
	local          string
	title, country string
}

func newPerson(forms identity.NameForms, key, title, country string) person {
	local := key[:max(strings.LastIndexByte(key, '@'), 0)]
	return person{forms, separators.Replace(local), title, country}
}

var separators = strings.NewReplacer(".", "", "_", "")

// isSame reports whether two people of one company are one. namesake says whether
// their names may be one person's. The same local part, at two hosts or with other
// separators, is one person's too, unless both have names that differ.
func (p *person) isSame(other *person, namesake bool) bool {
	if !namesake {
		return p.local == other.local && (len(p.forms.Exact) == 0 || len(other.forms.Exact) == 0)
	}
	if p.forms.IsOneWord() && other.forms.IsOneWord() {
		return !areTold(p.local, other.local, p.forms.Exact[0])
	}
	return !p.differs(other)
}

// areTold reports whether local parts say more than a name of one word that they
// begin with, and not the same: anna.k and anna.m are two Annas.
func areTold(a, b, name string) bool {
	moreOfA, okA := strings.CutPrefix(a, name)
	moreOfB, okB := strings.CutPrefix(b, name)
	return okA && okB && moreOfA != "" && moreOfB != "" && moreOfA != moreOfB
}

// differs reports whether two people of one name are two: what stands before their
// @ is not both made of the name, and they have other titles or are elsewhere.
func (p *person) differs(other *person) bool {
	if p.local == other.local || !areKnownAndDiffer(p.title, other.title) && !areKnownAndDiffer(p.country, other.country) {
		return false
	}
	return !p.forms.Explains(p.local) || !other.forms.Explains(other.local)
}

func areKnownAndDiffer(a, b string) bool { return a != "" && b != "" && !strings.EqualFold(a, b) }

// persons finds those who may be one person, without comparing all with all.
type persons struct {
	byName  map[int][]*member
	byLocal map[string][]*member
}

func newPersons(size int) persons {
	return persons{make(map[int][]*member, size), make(map[string][]*member, size)}
}

func (p persons) add(m *member) {
	if m.name != 0 {
		p.byName[m.name] = append(p.byName[m.name], m)
	}
	p.byLocal[m.local] = append(p.byLocal[m.local], m)
}

// same returns those in p who are the same person as m. links are the numbers that
// m's name has a link with.
func (p persons) same(m *member, links []int) []*member {
	var found []*member
	take := func(others []*member, namesake bool) {
		for _, other := range others {
			if m.isSame(&other.person, namesake) && !slices.Contains(found, other) {
				found = append(found, other)
			}
		}
	}
	if m.name != 0 {
		take(p.byName[m.name], true)
	}
	for _, number := range links {
		take(p.byName[number], true)
	}
	take(p.byLocal[m.local], false)
	return found
}
