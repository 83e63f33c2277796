package commands

import (
	"fmt"
	"time"
)

// Moment is a time, as a flag takes it: in the form of RFC 3339, or a length of time for so
// long ago.
type Moment struct{ text string }

func (m *Moment) String() string { return m.text }

// Set reads a time.
func (m *Moment) Set(text string) error {
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		m.text = at.Format(time.RFC3339Nano)
		return nil
	}
	var ago Length
	if err := ago.Set(text); err != nil {
		return fmt.Errorf("%q is no time such as 2026-03-04T10:30:00Z, and no length of time such as 24h or 7d", text)
	}
	m.text = time.Now().Add(-time.Duration(ago)).UTC().Format(time.RFC3339)
	return nil
}

// Type is what the help calls the value.
func (m *Moment) Type() string { return "time" }
