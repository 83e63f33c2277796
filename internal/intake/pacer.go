package intake

import "time"

// A commit costs nearly the same for one submission as for a few, here and in all
// that follows it. Where submissions come often enough, the batcher waits a little for
// the next ones.
const (
	// worthGap is the mean time between submissions up to which a pause is worth
	// it: two first parts of five find company then.
	worthGap = 8 * time.Millisecond
	// enough is the number of submissions from which on a commit does not wait.
	enough = 8
	// patience is how many parts in a row may find nobody, as happens by chance.
	// Behind them are callers that wait for one answer before they send again.
	patience = 4
	// mostSkipped bounds the commits that then do without such a part.
	mostSkipped = 64
	// crowdWeight is how many submissions of the crowd one of somebody else outweighs: one
	// organization is the crowd while more than three in four are its own.
	crowdWeight = 3
	// crowdFrom is the lead from which there is a crowd, and mostLead how far it leads at
	// most, so that it is soon forgotten when it has gone.
	crowdFrom = 16
	mostLead  = 32
)

// parts are the parts of a pause, one after the other, of which each is left out where it
// finds nobody. Few callers that each wait for an answer send again within the first, and
// would wait for nobody in the second. Submissions that come evenly, every 5 ms say, are
// found by the second alone. At a steady 200 a second that takes away half of the statements.
var parts = [...]time.Duration{4 * time.Millisecond, 10 * time.Millisecond}

// pacer decides whether a commit waits for company. It learns how often submissions
// come, and whether waiting has helped. It belongs to one goroutine.
type pacer struct {
	last  time.Time     // submission
	gap   time.Duration // between submissions, a running mean
	parts [len(parts)]partPacer
	// crowd is the organization that most submissions come from, and lead by how much: the
	// majority vote of Boyer and Moore, weighted.
	crowd string
	lead  int
}

// partPacer is what a pacer has learnt of one part of its pauses.
type partPacer struct {
	vain int // times in a row that it found nobody
	skip int // commits that do without it
}

// arrived notes a submission of an organization.
func (p *pacer) arrived(at time.Time, organization string) {
	since := min(at.Sub(p.last), time.Second)
	p.last = at
	p.gap += (since - p.gap) / 8
	switch {
	case organization == p.crowd:
		p.lead = min(p.lead+1, mostLead)
	case p.lead > 0:
		p.lead = max(p.lead-crowdWeight, 0)
	default:
		p.crowd, p.lead = organization, 1
	}
}

// hurries reports whether an organization's submissions wait for no company: somebody
// else is the crowd that pauses are for.
func (p *pacer) hurries(organization string) bool {
	return p.lead >= crowdFrom && organization != p.crowd
}

// pause returns how long a commit of n submissions is to wait for more in a part of its
// pause, 0 for not at all.
func (p *pacer) pause(part, n int) time.Duration {
	if n >= enough || p.gap > worthGap {
		return 0
	}
	if one := &p.parts[part]; one.skip > 0 {
		one.skip--
		return 0
	}
	return parts[part]
}

// paused notes that a part of a pause has brought further submissions, or none.
func (p *pacer) paused(part, further int) {
	one := &p.parts[part]
	if further > 0 {
		one.vain = 0
		return
	}
	one.vain++
	if one.vain >= patience {
		one.skip = min(1<<(one.vain-patience), mostSkipped)
	}
}
