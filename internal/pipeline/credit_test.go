package pipeline

import (
	"testing"

	"usersync/internal/delivery"
)

func TestOwnerIsToldOfAFallingBalanceOnce(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		before, after, threshold int64
		want                     delivery.MessageType
	}{
		{12, 11, 10, ""},
		{11, 10, 10, delivery.MessageCreditsLow},
		{50, 3, 10, delivery.MessageCreditsLow},
		{10, 9, 10, ""},
		{1, 0, 10, delivery.MessageCreditsExhausted},
		{50, 0, 10, delivery.MessageCreditsExhausted},
		{0, 0, 10, ""},
		{5, 5, 10, ""},
		{1, 0, 0, delivery.MessageCreditsExhausted},
	} {
		got, ok := creditMessage(c.before, c.after, c.threshold)
		if got != c.want || ok != (c.want != "") {
			t.Errorf("from %d to %d with %d: %q", c.before, c.after, c.threshold, got)
		}
	}
}
