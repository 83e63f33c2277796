package main

import (
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"

	"usersync/internal/app"
)

// plainEvery is how often a line is written where there is no terminal.
const plainEvery = 5 * time.Second

// progress tells how far a run is: with a bar on a terminal, elsewhere with a
// line now and then.
type progress struct {
	to       *os.File
	terminal bool

	mu       sync.Mutex
	what     string
	total    int
	n        int
	counted  int // without those of an earlier run
	began    time.Time
	lastLine time.Time
	lastNote time.Time
	bar      *progressbar.ProgressBar
}

func newProgress(to *os.File) *progress {
	return &progress{to: to, terminal: app.IsTerminal(to)}
}

// begin starts to count to about total users.
func (p *progress) begin(what string, total int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.what, p.total, p.n, p.counted = what, max(total, 1), 0, 0
	p.began, p.lastLine = time.Now(), time.Now()
	if !p.terminal {
		return
	}
	p.bar = progressbar.NewOptions(p.total, progressbar.OptionSetWriter(p.to), progressbar.OptionSetDescription(what),
		progressbar.OptionShowCount(), progressbar.OptionShowIts(), progressbar.OptionSetItsString("users"),
		progressbar.OptionSetPredictTime(true), progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionSetWidth(30))
}

// expect says how many users there are, once that is certain.
func (p *progress) expect(total int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.total = max(total, 1)
	if p.bar != nil {
		p.bar.ChangeMax(p.total)
	}
}

// add counts users.
func (p *progress) add(users int) { p.count(users, users) }

// skip counts users that an earlier run has dealt with: they say nothing of the rate.
func (p *progress) skip(users int) { p.count(users, 0) }

func (p *progress) count(users, counted int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.n += users
	p.counted += counted
	if p.bar != nil {
		_ = p.bar.Set(min(p.n, p.total)) // the run does not end for its bar
		return
	}
	if time.Since(p.lastLine) >= plainEvery {
		p.lastLine = time.Now()
		_, _ = fmt.Fprintln(p.to, p.line())
	}
}

// line says it in words.
func (p *progress) line() string {
	text := fmt.Sprintf("%s: %d of %d users", p.what, p.n, p.total)
	rate := float64(p.counted) / time.Since(p.began).Seconds()
	if rate <= 0 {
		return text
	}
	text += fmt.Sprintf(", %.0f/s", rate)
	if left := p.total - p.n; left > 0 {
		text += fmt.Sprintf(", %s left", (time.Duration(float64(left)/rate) * time.Second).Round(time.Second))
	}
	return text
}

// note says something beside the progress, at most every plainEvery.
func (p *progress) note(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if time.Since(p.lastNote) < plainEvery {
		return
	}
	p.lastNote = time.Now()
	if p.bar != nil {
		_ = p.bar.Clear() // the bar is drawn again with the next user
	}
	_, _ = fmt.Fprintln(p.to, text)
}

// end leaves the line that the bar is on.
func (p *progress) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bar == nil {
		return
	}
	_ = p.bar.Exit()
	p.bar = nil
	_, _ = fmt.Fprintln(p.to)
}
