package usersync

import "time"

// Time is a point in time as the API writes it: ISO 8601, UTC, milliseconds.
type Time struct{ time.Time }

// timeLayout is the one layout of all times in JSON.
const timeLayout = "2006-01-02T15:04:05.000Z"

// MarshalJSON writes the time in UTC with three decimals.
func (t Time) MarshalJSON() ([]byte, error) {
	return []byte(t.UTC().Format(`"` + timeLayout + `"`)), nil
}
