package connector

import (
	"fmt"
	"time"
)

// Revision is the version of a platform's API that a connector was written for, on a
// platform that retires its versions. The zero Revision is of a platform that does not.
type Revision struct {
	Name string
	// Retires is the day on which the platform takes calls of this version no more, by its
	// own rules.
	Retires time.Time
}

// warnBefore is how long before a version retires operators are warned. A release of this
// program that calls another version has to reach them by then.
const warnBefore = 270 * 24 * time.Hour

// Warning is what operators are told at a time. It is "" while all is well.
func (r Revision) Warning(now time.Time) string {
	day := r.Retires.Format(time.DateOnly)
	switch {
	case r.Name == "" || r.Retires.Sub(now) > warnBefore:
		return ""
	case now.Before(r.Retires):
		return fmt.Sprintf("The platform retires version %s of its API on %s. Update this program before.", r.Name, day)
	}
	return fmt.Sprintf("The platform has retired version %s of its API on %s. Update this program.", r.Name, day)
}

// Retiring returns the warnings of platforms at a time, by their names. It is for a look
// over an installation.
func Retiring(platforms []Platform, now time.Time) map[string]string {
	out := map[string]string{}
	for _, p := range platforms {
		if warning := p.Revision.Warning(now); warning != "" {
			out[p.Name] = warning
		}
	}
	return out
}
