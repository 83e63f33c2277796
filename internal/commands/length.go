package commands

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// day is what the letter d stands for.
const day = 24 * time.Hour

// Length is a length of time above zero, as a flag takes it: 30d, or what Go understands,
// such as 1h30m.
type Length time.Duration

func (l *Length) String() string {
	d := time.Duration(*l)
	if d == 0 {
		return "" // the help names no default
	}
	if d > 0 && d%day == 0 {
		return strconv.Itoa(int(d/day)) + "d"
	}
	return d.String()
}

// Set reads a length.
func (l *Length) Set(text string) error {
	d, err := parseLength(text)
	if err != nil || d <= 0 {
		return fmt.Errorf("%q is no length of time above zero, such as 30d, 12h or 1h30m", text)
	}
	*l = Length(d)
	return nil
}

// Type is what the help calls the value.
func (l *Length) Type() string { return "length" }

func parseLength(text string) (time.Duration, error) {
	if number, ok := strings.CutSuffix(text, "d"); ok {
		days, err := strconv.ParseUint(number, 10, 15)
		return time.Duration(days) * day, err //nolint:gosec // fifteen bits
	}
	return time.ParseDuration(text)
}
