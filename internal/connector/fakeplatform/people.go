package fakeplatform

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// Person is somebody whom a fake holds.
type Person struct {
	ID    string
	Email string
	// Fields are the platform's own, by its names.
	Fields map[string]any
	Lists  []string
	Tags   []string
	// Unsubscribed people left by themselves. The platform does not take Refused people
	// any more, for compliance or because they were erased.
	Unsubscribed bool
	Refused      bool
	// Writes counts how often the person was written.
	Writes int
}

// People are those whom a fake holds, by address in lower case.
type People struct {
	mu     sync.Mutex
	byMail map[string]*Person
	last   int
}

// NewPeople returns nobody.
func NewPeople() *People { return &People{byMail: map[string]*Person{}} }

// Len counts them.
func (p *People) Len() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.byMail)
}

// Get returns a copy of a person.
func (p *People) Get(email string) (Person, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	one, ok := p.byMail[strings.ToLower(email)]
	if !ok {
		return Person{}, false
	}
	return one.clone(), true
}

// Put changes a person under the lock. It makes one if there is none, and tells change
// whether the person is new.
func (p *People) Put(email string, change func(one *Person, isNew bool)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	key := strings.ToLower(email)
	one, ok := p.byMail[key]
	if !ok {
		p.last++
		one = &Person{ID: strconv.Itoa(1000 + p.last), Email: email, Fields: map[string]any{}}
		p.byMail[key] = one
	}
	one.Writes++
	change(one, !ok)
}

// ByID returns the person with an id.
func (p *People) ByID(id string) (Person, bool) {
	return p.First(func(one *Person) bool { return one.ID == id })
}

// First returns a copy of a person whom match, which changes nobody, is true of. It is for
// what one person at most has: it is not said whom of several it returns.
func (p *People) First(match func(one *Person) bool) (Person, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, one := range p.byMail {
		if match(one) {
			return one.clone(), true
		}
	}
	return Person{}, false
}

// All returns copies of the people whom match, which changes nobody, is true of, sorted by
// their addresses.
func (p *People) All(match func(one *Person) bool) (all []Person) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, one := range p.byMail {
		if match(one) {
			all = append(all, one.clone())
		}
	}
	slices.SortFunc(all, func(a, b Person) int { return strings.Compare(a.Email, b.Email) })
	return all
}

// Delete removes a person and reports whether there was one.
func (p *People) Delete(email string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, ok := p.byMail[strings.ToLower(email)]
	delete(p.byMail, strings.ToLower(email))
	return ok
}

// Move gives a person another address. It reports false where somebody else has that.
func (p *People) Move(from, to string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	one, known := p.byMail[strings.ToLower(from)]
	other, taken := p.byMail[strings.ToLower(to)]
	if !known || taken && other != one {
		return false
	}
	delete(p.byMail, strings.ToLower(from))
	one.Email = to
	p.byMail[strings.ToLower(to)] = one
	return true
}

// Emails returns all addresses, sorted.
func (p *People) Emails() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Sorted(maps.Keys(p.byMail))
}

func (p *Person) clone() Person {
	out := *p
	out.Fields, out.Lists, out.Tags = maps.Clone(p.Fields), slices.Clone(p.Lists), slices.Clone(p.Tags)
	return out
}

// With returns list with s in it once.
func With(list []string, s string) []string {
	if slices.Contains(list, s) {
		return list
	}
	return append(list, s)
}

// writtenAgain counts those who were written more than once.
func (p *People) writtenAgain() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for _, one := range p.byMail {
		if one.Writes > 1 {
			n++
		}
	}
	return n
}
