package relay

import (
	"context"
	"time"

	"usersync/internal/outbox"
)

// absentFor is how long a process that holds claims may not attend before it is taken for
// dead. One that has lost its connection attends again within a second.
const absentFor = 3 * time.Second

// bury ends the claims of processes that have died, so that their work waits for seconds
// and not until the claims run out. It reports whether there were any.
func (r *Relay) bury(ctx context.Context) (any bool) {
	numbers, err := outbox.Absent(ctx, r.Store)
	if err != nil {
		r.absent = nil // Who could not be seen meanwhile is not missed.
		r.report(ctx, "could not look for workers that have died", err)
		return false
	}
	before := r.absent
	r.absent = make(map[string]time.Time, len(numbers))
	for _, number := range numbers { //lint:loop one statement for each process that has died
		since, known := before[number]
		if !known {
			since = time.Now() //lint:clock it measures how long ago that was
		}
		if time.Since(since) < absentFor {
			r.absent[number] = since
			continue
		}
		n, err := outbox.Bury(ctx, r.Store, number)
		if err != nil {
			r.report(ctx, "could not take the tasks of a worker that died", err)
			continue
		}
		any = any || n > 0
		r.Log.WarnContext(ctx, "a worker died; its tasks go on elsewhere", "tasks", n)
	}
	return any
}
