package usersync

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// UserInput is what a caller says of a user. Empty fields say nothing, unless Cleared
// names them.
type UserInput struct {
	// UserID names the user, who gets the address Email. Where it is "", the address says
	// who it is.
	UserID     string `json:"userId,omitempty"`
	Email      Email  `json:"-"`
	Country    string `json:"country,omitempty"` // ISO 3166-1 alpha-2
	FirstName  string `json:"firstName,omitempty"`
	LastName   string `json:"lastName,omitempty"`
	Name       string `json:"name,omitempty"`
	JobTitle   string `json:"jobTitle,omitempty"`
	InviteLink string `json:"inviteLink,omitempty"`
	// Attributes are strings, numbers (json.Number, which keeps their digits), booleans and
	// lists of strings ([]any). nil clears an attribute.
	Attributes map[string]any `json:"attributes,omitempty"`
	// Consent says whether the user wants to be written to. It is no field of the user:
	// the newest statement counts, and not that of the newest request.
	Consent Consents `json:"consent,omitempty"`
	// Tags says which tags the user is to have, and with false which not. A stored user
	// has those that are true.
	Tags map[string]bool `json:"tags,omitempty"`
	// Removed says whether the user was taken out of the system that told of them. nil
	// says nothing.
	Removed *bool `json:"removed,omitempty"`
	// Cleared names the empty fields that are to hold nothing from now on. Of a stored
	// user it also names attributes.
	Cleared []Field `json:"cleared,omitempty"`
}

// Clears reports whether a field is to hold nothing from now on.
func (in UserInput) Clears(f Field) bool { return slices.Contains(in.Cleared, f) }

// Field names one mergeable field of a user.
type Field string

// The fields of a user that a request may set; attributes are one each, as
// "attributes." + name.
const (
	FieldEmail      Field = "email"   // set once, by the request that made the user
	FieldAddress    Field = "address" // set by each request that gave the user another address
	FieldCountry    Field = "country"
	FieldFirstName  Field = "firstName"
	FieldLastName   Field = "lastName"
	FieldName       Field = "name"
	FieldJobTitle   Field = "jobTitle"
	FieldInviteLink Field = "inviteLink"
)

// fieldRemoved is under which a stored user keeps who said last whether they are removed.
const fieldRemoved Field = "removed"

// attributePrefix begins the fields that are attributes.
const attributePrefix = "attributes."

// tagPrefix begins the fields that are tags.
const tagPrefix = "tags."

// maxTags is how many tags are known of a user, those included that were taken away.
const maxTags = 500

// fieldOf names the field of an attribute.
func fieldOf(attribute string) Field { return Field(attributePrefix + attribute) }

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
// would take u beyond MaxAttributes and the new tags beyond maxTags, and the names of
// those. A value that replaces another one always fits where it is no longer.
func (u *User) Fitting(in UserInput, seq int64) (fitting UserInput, left []string) {
	if len(in.Tags) > 0 {
		in.Tags, left = u.fittingTags(in.Tags)
	}
	if len(in.Attributes) == 0 {
		return in, left
	}
	size := SizeOf(u.Attributes) + u.sizeOfCleared()
	fitting, fitting.Attributes = in, make(map[string]any, len(in.Attributes))
	for _, name := range slices.Sorted(maps.Keys(in.Attributes)) {
		value := in.Attributes[name]
		if before, known := u.Sequences[fieldOf(name)]; before < seq {
			grows := sizeOf(name, value)
			if known {
				grows -= sizeOf(name, u.Attributes[name])
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

// fittingTags returns the tags without the new ones that would be more than maxTags, and
// the names of those.
func (u *User) fittingTags(tags map[string]bool) (fitting map[string]bool, left []string) {
	known := 0
	for f := range u.Sequences {
		if strings.HasPrefix(string(f), tagPrefix) {
			known++
		}
	}
	fitting = make(map[string]bool, len(tags))
	for _, tag := range slices.Sorted(maps.Keys(tags)) {
		if _, there := u.Sequences[Field(tagPrefix+tag)]; !there {
			if known >= maxTags {
				left = append(left, tagPrefix+tag)
				continue
			}
			known++
		}
		fitting[tag] = tags[tag]
	}
	return fitting, left
}

// sizeOfCleared returns how many bytes the names of those attributes have that were
// cleared. They stay known, so that platforms can be told.
func (u *User) sizeOfCleared() (n int) {
	for f := range u.Sequences {
		if name, ok := strings.CutPrefix(string(f), attributePrefix); ok {
			if _, held := u.Attributes[name]; !held {
				n += sizeOf(name, nil)
			}
		}
	}
	return n
}

// SizeOf returns how many bytes attributes have: their names and texts, the digits of
// numbers, the texts of lists, eight for true and false, and none for what was cleared.
func SizeOf(attributes map[string]any) (n int) {
	for name, value := range attributes {
		n += sizeOf(name, value)
	}
	return n
}

func sizeOf(name string, value any) int {
	switch v := value.(type) {
	case nil:
		return len(name)
	case string:
		return len(name) + len(v)
	case json.Number:
		return len(name) + max(len(v), 8)
	case []any:
		size := len(name)
		for _, one := range v {
			size += sizeOf("", one)
		}
		return size
	}
	return len(name) + 8
}

// Apply merges what the request accepted as seq says into u: a field is taken, or
// cleared, unless a newer request set it. It reports whether anything changed.
func (u *User) Apply(in UserInput, seq int64) bool {
	changed := false
	if u.Sequences == nil {
		u.Sequences = map[Field]int64{}
	}
	set := func(f Field, to *string, value string) {
		if value == "" && !in.Clears(f) || u.Sequences[f] >= seq {
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
		f := fieldOf(name)
		if u.Sequences[f] >= seq {
			continue
		}
		u.Sequences[f], changed = seq, true
		if value == nil {
			delete(u.Attributes, name)
			continue
		}
		if u.Attributes == nil {
			u.Attributes = map[string]any{}
		}
		u.Attributes[name] = value
	}
	for tag, has := range in.Tags {
		if f := Field(tagPrefix + tag); u.Sequences[f] < seq {
			u.Sequences[f], changed = seq, true
			u.tag(tag, has)
		}
	}
	if in.Removed != nil && u.Sequences[fieldRemoved] < seq {
		u.Sequences[fieldRemoved], changed = seq, true
		u.Removed = in.Removed
	}
	return changed
}

func (u *User) tag(tag string, has bool) {
	if !has {
		delete(u.Tags, tag)
		return
	}
	if u.Tags == nil {
		u.Tags = map[string]bool{}
	}
	u.Tags[tag] = true
}

// isRemoved reports whether the user was taken out of the system that told of them.
func (in UserInput) isRemoved() bool { return in.Removed != nil && *in.Removed }

// Changes returns the fields that Apply would give another value, in the order
// of their declaration, attributes by name.
func (u *User) Changes(in UserInput, seq int64) []Field {
	var changed []Field
	note := func(f Field, have, said string) {
		if (said != "" || in.Clears(f)) && said != have && u.Sequences[f] < seq {
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
		f := fieldOf(name)
		if u.Sequences[f] < seq && !reflect.DeepEqual(u.Attributes[name], value) {
			changed = append(changed, f)
		}
	}
	for tag, has := range in.Tags {
		if f := Field(tagPrefix + tag); u.Sequences[f] < seq && u.Tags[tag] != has {
			changed = append(changed, f)
		}
	}
	if in.Removed != nil && *in.Removed != u.isRemoved() && u.Sequences[fieldRemoved] < seq {
		changed = append(changed, fieldRemoved)
	}
	slices.Sort(changed[own:])
	return changed
}

// ClearedFields returns the fields that hold nothing because a request said so, in
// alphabetical order. They have a sequence and no value.
func (in UserInput) ClearedFields(sequences map[Field]int64) []Field {
	held := map[Field]bool{
		FieldEmail: true, FieldAddress: true, FieldCountry: true, FieldFirstName: in.FirstName != "", FieldLastName: in.LastName != "",
		FieldName: in.Name != "", FieldJobTitle: in.JobTitle != "", FieldInviteLink: in.InviteLink != "", fieldRemoved: true,
	}
	var cleared []Field
	for f := range sequences {
		name, isAttribute := strings.CutPrefix(string(f), attributePrefix)
		if isAttribute {
			_, held[f] = in.Attributes[name]
		}
		if !held[f] && !strings.HasPrefix(string(f), tagPrefix) {
			cleared = append(cleared, f)
		}
	}
	slices.Sort(cleared)
	return cleared
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
