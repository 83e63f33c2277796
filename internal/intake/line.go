package intake

import "sync"

// line holds the submissions that wait for a commit, by organization. They are taken in
// turn, one of each organization, so that one that hands in many makes only its own
// wait.
type line struct {
	arrived chan struct{} // has a value when something may wait

	mu      sync.Mutex
	added   int      // submissions so far
	turns   []string // the organizations for whom something waits, the next one first
	waiting map[string][]*waitingSubmission
}

func newLine() *line {
	return &line{arrived: make(chan struct{}, 1), waiting: map[string][]*waitingSubmission{}}
}

// add puts a submission behind those of its organization.
func (l *line) add(t *waitingSubmission) {
	l.mu.Lock()
	l.added++
	if len(l.waiting[t.Organization]) == 0 {
		l.turns = append(l.turns, t.Organization)
	}
	l.waiting[t.Organization] = append(l.waiting[t.Organization], t)
	l.mu.Unlock()
	select {
	case l.arrived <- struct{}{}:
	default: // said already
	}
}

// count returns how many submissions have been added so far.
func (l *line) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.added
}

// take returns the submission whose turn it is, nil when none waits.
func (l *line) take() *waitingSubmission {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.turns) == 0 {
		return nil
	}
	organization := l.turns[0]
	own := l.waiting[organization]
	l.turns = l.turns[1:]
	if len(own) > 1 {
		l.turns = append(l.turns, organization)
		l.waiting[organization] = own[1:]
	} else {
		delete(l.waiting, organization)
	}
	return own[0]
}
