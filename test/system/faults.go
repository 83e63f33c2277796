//go:build unix

package system

import (
	"fmt"
	"sync"
	"testing"
)

// Faults collects what is wrong, some of each kind in full. It may be
// used from several goroutines.
type Faults struct {
	mu       sync.Mutex
	kinds    []string
	count    map[string]int
	examples map[string][]string
}

const shownExamples = 3

// Add notes a fault of a kind; format and args say which.
func (f *Faults) Add(kind, format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.count == nil {
		f.count, f.examples = map[string]int{}, map[string][]string{}
	}
	if f.count[kind] == 0 {
		f.kinds = append(f.kinds, kind)
	}
	f.count[kind]++
	if len(f.examples[kind]) < shownExamples {
		f.examples[kind] = append(f.examples[kind], fmt.Sprintf(format, args...))
	}
}

// Report fails the test for each kind of fault.
func (f *Faults) Report(t *testing.T) {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, kind := range f.kinds {
		t.Errorf("%s: %d times, for example %q", kind, f.count[kind], f.examples[kind])
	}
}
