package usersync

import (
	"maps"
	"reflect"
	"slices"
)

// UserInput is what a caller says of a user. Empty fields say nothing.
type UserInput struct {
	Email      Email          `json:"-"`
	Country    string         `json:"country,omitempty"` // ISO 3166-1 alpha-2
	FirstName  string         `json:"firstName,omitempty"`
	LastName   string         `json:"lastName,omitempty"`
	Name       string         `json:"name,omitempty"`
	JobTitle   string         `json:"jobTitle,omitempty"`
	InviteLink string         `json:"inviteLink,omitempty"`
	Attributes map[string]any `json:"attributes,omitempty"`
}

// Field names one mergeable field of a user.
type Field string

// The fields of a user that a request may set; attributes are one each, as
// "attributes." + name.
const (
	FieldEmail      Field = "email" // set once, by the request that made the user
	FieldCountry    Field = "country"
	FieldFirstName  Field = "firstName"
	FieldLastName   Field = "lastName"
	FieldName       Field = "name"
	FieldJobTitle   Field = "jobTitle"
	FieldInviteLink Field = "inviteLink"
)

// User is a person an organization told us about.
type User struct {
	ID string
	// UserInput holds the present value of each field.
	UserInput
	// Sequences holds, per field, the acceptance sequence that set it.
	Sequences map[Field]int64
	// Version rises with every stored change.
	Version int64
}

// MaxAttributes is how many bytes the names and values of a user's attributes may have
// together, in one call and as they are stored.
const MaxAttributes = 64 << 10

// Fitting returns what the request accepted as seq says, without the new attributes that
// would take u beyond MaxAttributes, and the names of those. A value that replaces
// another one always fits where it is no longer.
func (u *User) Fitting(in UserInput, seq int64) (fitting UserInput, left []string) {
	if len(in.Attributes) == 0 {
		return in, nil
	}
	size := SizeOf(u.Attributes)
	fitting, fitting.Attributes = in, make(map[string]any, len(in.Attributes))
	for _, name := range slices.Sorted(maps.Keys(in.Attributes)) {
		value := in.Attributes[name]
		if u.Sequences[Field("attributes."+name)] < seq {
			grows := sizeOf(name, value)
			if old, known := u.Attributes[name]; known {
				grows -= sizeOf(name, old)
			}
			if grows > 0 && size+grows > MaxAttributes {
				left = append(left, name)
				continue
			}
			size += grows
		}
		fitting.Attributes[name] = value
	}
	return fitting, left
}

// SizeOf returns how many bytes attributes have: their names and texts, and eight for
// each other value.
func SizeOf(attributes map[string]any) (n int) {
	for name, value := range attributes {
		n += sizeOf(name, value)
	}
	return n
}

func sizeOf(name string, value any) int {
	if text, ok := value.(string); ok {
		return len(name) + len(text)
	}
	return len(name) + 8
}

// Apply merges what the request accepted as seq says into u: a field is taken
// unless a newer request set it. It reports whether anything changed.
func (u *User) Apply(in UserInput, seq int64) bool {
	changed := false
	if u.Sequences == nil {
		u.Sequences = map[Field]int64{}
	}
	set := func(f Field, to *string, value string) {
		if value == "" || u.Sequences[f] >= seq {
			return
		}
		u.Sequences[f] = seq
		changed = true
		*to = value
	}
	set(FieldCountry, &u.Country, in.Country)
	set(FieldFirstName, &u.FirstName, in.FirstName)
	set(FieldLastName, &u.LastName, in.LastName)
	set(FieldName, &u.Name, in.Name)
	set(FieldJobTitle, &u.JobTitle, in.JobTitle)
	set(FieldInviteLink, &u.InviteLink, in.InviteLink)
	for name, value := range in.Attributes {
		f := Field("attributes." + name)
		if u.Sequences[f] >= seq {
			continue
		}
		if u.Attributes == nil {
			u.Attributes = map[string]any{}
		}
		u.Sequences[f], u.Attributes[name] = seq, value
		changed = true
	}
	return changed
}

// Changes returns the fields that Apply would give another value, in the order
// of their declaration, attributes by name.
func (u *User) Changes(in UserInput, seq int64) []Field {
	var changed []Field
	note := func(f Field, have, said string) {
		if said != "" && said != have && u.Sequences[f] < seq {
			changed = append(changed, f)
		}
	}
	note(FieldCountry, u.Country, in.Country)
	note(FieldFirstName, u.FirstName, in.FirstName)
	note(FieldLastName, u.LastName, in.LastName)
	note(FieldName, u.Name, in.Name)
	note(FieldJobTitle, u.JobTitle, in.JobTitle)
	note(FieldInviteLink, u.InviteLink, in.InviteLink)
	own := len(changed)
	for name, value := range in.Attributes {
		f := Field("attributes." + name)
		if u.Sequences[f] < seq && !reflect.DeepEqual(u.Attributes[name], value) {
			changed = append(changed, f)
		}
	}
	slices.Sort(changed[own:])
	return changed
}

// MadeBy reports whether the request accepted as seq made the user.
func (u *User) MadeBy(seq int64) bool { return u.Sequences[FieldEmail] == seq }

// FullName returns the name, or first and last name joined.
func (in UserInput) FullName() string {
	switch {
	case in.Name != "":
		return in.Name
	case in.FirstName == "":
		return in.LastName
	case in.LastName == "":
		return in.FirstName
	}
	return in.FirstName + " " + in.LastName
}
