package pulse

import (
	"testing"
	"time"

	"usersync/internal/request"
)

func TestAPulseTellsRateLatencyAndOutcomes(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	var list []request.Glimpse
	for i := range 120 { // one each half second, newest first
		created := now.Add(-time.Duration(i) * 500 * time.Millisecond)
		list = append(list, request.Glimpse{Status: request.Succeeded, Created: created, Finished: created.Add(time.Duration(i+1) * time.Millisecond)})
	}
	list[7].Status = request.Failed
	list[3].Status, list[3].Finished = request.Processing, time.Time{}
	list = append(list, request.Glimpse{Status: request.Succeeded, Created: now.Add(-time.Hour)})
	p := pulseOf(now, list)
	if p.PerSecond != 2 || p.Requests != 120 || p.Cut || p.Waiting() != 1 || !p.Oldest.Equal(list[3].Created) {
		t.Errorf("%+v", p)
	}
	if p.Outcomes[request.Failed] != 1 || p.Outcomes[request.Succeeded] != 118 {
		t.Errorf("%v", p.Outcomes)
	}
	if p.Median < 59*time.Millisecond || p.Median > 62*time.Millisecond || p.Slow < 112*time.Millisecond || p.Slow > 116*time.Millisecond {
		t.Errorf("%s, %s", p.Median, p.Slow)
	}
	if last := p.Bins[bins-1]; last.Accepted+p.Bins[bins-2].Accepted != 120 || last.Failed != 1 {
		t.Errorf("%+v", p.Bins)
	}
}

func TestAPulseOfManyRequestsLooksBackLess(t *testing.T) {
	t.Parallel()
	now := time.Now()
	list := make([]request.Glimpse, sample)
	for i := range list {
		list[i] = request.Glimpse{Status: request.Queued, Created: now.Add(-time.Duration(i) * time.Millisecond)}
	}
	p := pulseOf(now, list)
	if !p.Cut || p.PerSecond < 990 || p.PerSecond > 1010 || p.Requests != sample || p.Slow != 0 {
		t.Errorf("%+v", p)
	}
	if got := pulseOf(now, nil); got.Requests != 0 || got.PerSecond != 0 || len(got.Bins) != bins {
		t.Errorf("%+v", got)
	}
}
