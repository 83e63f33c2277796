package pusher

import "time"

// pushSchedule holds the waits after failed attempts of a platform step: 5 s,
// 30 s, 2 min, 10 min, 1 h, then hourly (contract user-sync.md).
var pushSchedule = []time.Duration{5 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute, time.Hour}

// tryPushFor is how long after acceptance a platform step is tried.
const tryPushFor = 24 * time.Hour

// pushWait returns how long to wait after the given number of failed attempts,
// without jitter.
func pushWait(attempts int) time.Duration {
	return pushSchedule[min(max(attempts, 1), len(pushSchedule))-1]
}
