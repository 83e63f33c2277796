package fake

import (
	"net/url"
	"strconv"
	"time"
)

// Webhook is the body of the call that Copernica makes about a profile, by what was done
// with it.
func (f *Fake) Webhook(kind, database, email string, at time.Time) string {
	one, _ := f.people.Get(email)
	form := url.Values{
		"type": {kind}, "profile": {one.ID}, "database": {database}, "time": {strconv.FormatInt(at.Unix(), 10)},
		"timestamp": {at.Format(time.DateTime)}, "created": {"2026-01-01 00:00:00"}, "modified": {at.Format(time.DateTime)},
		"interests[]": one.Tags,
	}
	for _, name := range f.names() {
		form.Set("fields["+name+"]", valueOf(one, name))
	}
	return form.Encode()
}
