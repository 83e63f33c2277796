// Package fakeprovider is what the fakes of identity providers have in common: users, the
// calls that were made, and faults.
package fakeprovider

import (
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
)

// User is a user of a fake.
type User struct {
	ID, Email, FirstName, LastName string
	Verified, Blocked              bool
	LastLogin                      string
	// More are further fields in the provider's own words, or metadata.
	More map[string]any
}

// Fault is what a fake does instead of answering.
type Fault struct {
	// Status and Body are answered with Header; Status 0 is 200.
	Status int
	Header map[string]string
	Body   string
	// Hang keeps the call until the caller leaves.
	Hang bool
	// Times is how many calls it hits; 0 is all until Mend.
	Times int
	// Path is what the path of a call has to hold to be hit.
	Path string
}

// Base is the part of a fake that all share. Its zero value works.
type Base struct {
	mu     sync.Mutex
	users  []User
	fault  *Fault
	calls  map[string]int
	bodies []string
}

// Put adds users.
func (b *Base) Put(users ...User) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.users = append(b.users, users...)
}

// Users returns those whose address is spelt like this.
func (b *Base) Users(match func(User) bool) []User {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []User
	for _, u := range b.users {
		if match(u) {
			u.More = maps.Clone(u.More)
			out = append(out, u)
		}
	}
	return out
}

// Break has calls hit by a fault from now on.
func (b *Base) Break(f Fault) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fault = &f
}

// Mend ends the fault.
func (b *Base) Mend() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fault = nil
}

// Calls returns how many calls came to paths that hold a text.
func (b *Base) Calls(path string) (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for p, count := range b.calls {
		if strings.Contains(p, path) {
			n += count
		}
	}
	return n
}

// Notes returns what the fake noted of calls.
func (b *Base) Notes() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.bodies)
}

// Note keeps a text of a call.
func (b *Base) Note(text string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.bodies = append(b.bodies, text)
}

// Hit counts a call, and answers it where there is a fault. It reports whether it did.
func (b *Base) Hit(w http.ResponseWriter, r *http.Request) bool {
	f := b.next(r.URL.Path)
	if f == nil {
		return false
	}
	if f.Hang {
		_, _ = io.Copy(io.Discard, r.Body) // else the server does not see that the caller leaves
		<-r.Context().Done()
		return true
	}
	w.Header().Set("Content-Type", "application/json")
	for name, value := range f.Header {
		w.Header().Set(name, value)
	}
	if f.Status != 0 {
		w.WriteHeader(f.Status)
	}
	_, _ = w.Write([]byte(f.Body))
	return true
}

// next counts a call and returns the fault that it is hit by.
func (b *Base) next(path string) *Fault {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.calls == nil {
		b.calls = map[string]int{}
	}
	b.calls[path]++
	f := b.fault
	if f == nil || !strings.Contains(path, f.Path) {
		return nil
	}
	if f.Times > 0 {
		if f.Times--; f.Times == 0 {
			b.fault = nil
		}
	}
	return f
}
