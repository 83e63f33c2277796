package pusher

import "time"

// clock goes on counting from a time that the database has told. What is due is decided by
// the database's clock alone; a process that was set to another time counts as well. Its
// zero value has been told none.
type clock struct{ told, at time.Time }

// clockAt returns a clock that was just told the database's time.
func clockAt(told time.Time) clock {
	return clock{told, time.Now()} //lint:clock it only measures what has passed since
}

// now returns the database's time.
func (c clock) now() time.Time {
	return c.told.Add(time.Since(c.at)) //lint:clock it measures, by a clock that nobody sets
}
