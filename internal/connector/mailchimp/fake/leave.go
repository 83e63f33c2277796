package fake

import "strings"

// OnList reports whether somebody is a member of List who was not taken out.
func (f *Fake) OnList(email string) bool {
	p, ok := f.people.Get(email)
	f.mu.Lock()
	defer f.mu.Unlock()
	return ok && in(p, List) && f.status[strings.ToLower(email)] != "archived"
}
