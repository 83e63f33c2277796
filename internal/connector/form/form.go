// Package form writes dates and lists in the forms that platforms want.
package form

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"usersync/internal/connector"
)

// Date is a day, or a moment, that an attribute holds as a text.
type Date struct {
	at time.Time
	// isDay says that there is no time of the day.
	isDay bool
}

// ParseDate reads a day as 2026-03-04 and a moment as in RFC 3339.
func ParseDate(value any) (Date, bool) {
	text, ok := value.(string)
	if !ok {
		return Date{}, false
	}
	if at, err := time.Parse(time.DateOnly, text); err == nil {
		return Date{at, true}, true
	}
	at, err := time.Parse(time.RFC3339, text)
	return Date{at: at}, err == nil
}

// Day is the day as 2026-03-04; of a moment, the day that it was written with.
func (d Date) Day() any { return d.at.Format(time.DateOnly) }

// Birthday is the day without its year, as 03/04.
func (d Date) Birthday() any { return d.at.Format("01/02") }

// Moment is the moment as in RFC 3339, in UTC; of a day, when it begins.
func (d Date) Moment() any { return d.at.UTC().Format(time.RFC3339) }

// Clock is the moment as 2026-03-04 10:30:00, in UTC.
func (d Date) Clock() any { return d.at.UTC().Format(time.DateTime) }

// Unix is the moment in seconds since 1970.
func (d Date) Unix() any { return d.at.Unix() }

// DayOrClock is the day of a day, and of a moment the moment with its offset from UTC, as
// 2026-03-04 10:30:00+00:00.
func (d Date) DayOrClock() any {
	if d.isDay {
		return d.Day()
	}
	return fmt.Sprint(d.Clock(), "+00:00")
}

// Dates puts the values of fields that hold dates into the form of the platform. form
// returns nil for a field that holds none. Dates takes out what is no date, and returns
// remarks about that.
func Dates(values map[string]any, form func(field string) func(Date) any) (left []connector.LeftOut) {
	for field, value := range values {
		write := form(field)
		if value == nil || write == nil {
			continue
		}
		date, ok := ParseDate(value)
		if !ok {
			delete(values, field)
			left = append(left, connector.LeftOut{Field: field, Why: "is no date"})
			continue
		}
		values[field] = write(date)
	}
	slices.SortFunc(left, func(a, b connector.LeftOut) int { return strings.Compare(a.Field, b.Field) })
	return left
}

// List returns the texts of a value, which may be a list or one value. It returns none of
// what was cleared.
func List(value any) []string {
	switch v := value.(type) {
	case nil:
		return []string{}
	case []any:
		out := make([]string, len(v))
		for i, one := range v {
			out[i] = connector.Text(one)
		}
		return out
	}
	return []string{connector.Text(value)}
}
