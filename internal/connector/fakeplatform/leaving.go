package fakeplatform

// Leaving is a way in which people leave a platform.
type Leaving string

// The ways in which people leave.
const (
	LeftList     Leaving = "unsubscribed from the list"
	LeftAll      Leaving = "unsubscribed from everything"
	LeftCleaned  Leaving = "cleaned" // mail to them came back
	LeftComplain Leaving = "complained"
)

// Leaver is a fake of a platform that people can leave.
type Leaver interface {
	// Leave makes a person whom the fake holds leave. It reports whether the platform has
	// this way to leave.
	Leave(email string, how Leaving) bool
	// Gone reports whether nothing has undone that. A person who is put on the list again
	// is not gone.
	Gone(email string, how Leaving) bool
}

// Listed is a fake of a platform with lists that people can be taken off.
type Listed interface {
	// OnList reports whether a person is on the list of Config, and gets what is sent to it.
	OnList(email string) bool
}

// Archiver is a fake of a platform that can archive people instead of deleting them.
type Archiver interface {
	// Archived reports whether somebody was archived and not deleted.
	Archived(email string) bool
}

// Fielded is a fake that tells which fields of an account a connection can map.
type Fielded interface {
	// Fields returns the setting that maps fields, and names of fields in it.
	Fields() Fields
}

// Fields are names that a mapping may have, by what the fields hold. A platform without
// such a field has "".
type Fields struct {
	// Setting is the name of the setting that holds the mapping.
	Setting             string
	Text, Number, Phone string
	// Tags are the settings that tags need, and that Config does not have.
	Tags map[string]any
	// Date and List take a date and a list.
	Date, List string
	// Day and Moment are how Date holds 2026-03-04 and 2026-03-04T10:30:00+02:00, and Several
	// how List holds gold and new.
	Day, Moment, Several any
	// AnyDate says that Date takes any other text too.
	AnyDate bool
}
