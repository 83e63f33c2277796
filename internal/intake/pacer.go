package intake

import "time"

// A commit costs nearly the same for one submission as for a few, here and in all
// that follows it. Where submissions come often enough, the batcher waits a little for
// the next ones.
const (
	// pauseFor is how long a commit waits for further submissions.
	pauseFor = 4 * time.Millisecond
	// worthGap is the mean time between submissions up to which a pause is worth
	// it: two pauses of five find company then.
	worthGap = 2 * pauseFor
	// enough is the number of submissions from which on a commit does not wait.
	enough = 8
	// patience is how many pauses in a row may find nobody, as happens by chance.
	// Behind them are callers that wait for one answer before they send again.
	patience = 4
	// mostSkipped bounds the commits that then do without a pause.
	mostSkipped = 64
)

// pacer decides whether a commit waits for company. It learns how often submissions
// come, and whether waiting has helped. It belongs to one goroutine.
type pacer struct {
	last time.Time     // submission
	gap  time.Duration // between submissions, a running mean
	vain int           // pauses in a row that found nobody
	skip int           // commits that do not wait
}

// arrived notes a submission.
func (p *pacer) arrived(at time.Time) {
	since := min(at.Sub(p.last), time.Second)
	p.last = at
	p.gap += (since - p.gap) / 8
}

// pause returns how long a commit of n submissions is to wait for more.
func (p *pacer) pause(n int) time.Duration {
	if n >= enough || p.gap > worthGap {
		return 0
	}
	if p.skip > 0 {
		p.skip--
		return 0
	}
	return pauseFor
}

// paused notes that a pause has brought further submissions, or none.
func (p *pacer) paused(further int) {
	if further > 0 {
		p.vain = 0
		return
	}
	p.vain++
	if p.vain >= patience {
		p.skip = min(1<<(p.vain-patience), mostSkipped)
	}
}
