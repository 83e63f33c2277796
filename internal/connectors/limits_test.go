package connectors_test

import (
	"testing"
	"time"

	"usersync/internal/connector"
	"usersync/internal/connectors"
)

// late is by how much a call may arrive later than others that were sent with it.
const late = 100 * time.Millisecond

// A burst counts too: a bucket that holds as many calls as a second allows lets nearly
// twice as many through in the first second.
func TestNoWindowOfAPlatformsOwnLimitHoldsMoreCallsThanItAllows(t *testing.T) {
	t.Parallel()
	for _, k := range connectors.Platforms {
		fits(t, k.Name, k.Limits)
		for _, l := range k.Lanes {
			fits(t, k.Name+" "+l.Name, l.Limits)
		}
	}
}

func fits(t *testing.T, name string, l connector.Limits) {
	t.Helper()
	for _, w := range l.Published {
		if most := l.Most(w.In + late); most < 0 || most > w.Calls {
			t.Errorf("%s: up to %d calls in %v, where the platform takes %d", name, most, w.In, w.Calls)
		}
	}
	// Less than four fifths of what is allowed would waste the time of bulk work.
	if allowed := l.Allowed(); allowed > 0 && l.PerSecond < 0.8*allowed {
		t.Errorf("%s: %.2f calls a second, where %.2f are allowed", name, l.PerSecond, allowed)
	}
}
