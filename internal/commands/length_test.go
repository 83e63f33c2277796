package commands

import (
	"testing"
	"time"
)

func TestLengthOfTimeIsAboveZero(t *testing.T) {
	t.Parallel()
	tests := []struct {
		text string
		want time.Duration
		said string
	}{
		{"30d", 30 * day, "30d"}, {"24h", day, "1d"}, {"12h", 12 * time.Hour, "12h0m0s"}, {"1h30m", 90 * time.Minute, "1h30m0s"},
		{"-5h", 0, ""}, {"0", 0, ""}, {"0d", 0, ""}, {"-1d", 0, ""}, {"d", 0, ""}, {"1.5d", 0, ""}, {"99999d", 0, ""}, {"", 0, ""}, {"5", 0, ""},
	}
	for _, one := range tests {
		var l Length
		err := l.Set(one.text)
		if (err == nil) != (one.want > 0) || time.Duration(l) != one.want {
			t.Errorf("%q: %v, %v; want %v", one.text, time.Duration(l), err, one.want)
		}
		if err == nil && l.String() != one.said {
			t.Errorf("%q is said as %q, want %q", one.text, l.String(), one.said)
		}
	}
}
