package record

import (
	"maps"
	"slices"
	"strings"

	"usersync/internal/usersync"
)

// Source is where a field of a combined record came from.
type Source string

// The sources.
const (
	FromStore    Source = "store"
	FromProvider Source = "provider"
)

// Names of the fields of a record, beside its metadata.
const (
	FieldEmail     = "email"
	FieldFirstName = "firstName"
	FieldLastName  = "lastName"
	FieldVerified  = "verified"
)

// Provenance says, by the name of a field, where its value came from. Fields without a
// value are missing.
type Provenance map[string]Source

// OfProvider returns the fields that the provider has told.
func (p Provenance) OfProvider() []string {
	names := slices.DeleteFunc(slices.Collect(maps.Keys(p)), func(name string) bool { return p[name] != FromProvider })
	slices.Sort(names)
	return names
}

// identityKeys are the metadata in which the provider wins: photo, telephone, address and
// what the user is called. In all others our store does.
var identityKeys = map[string]bool{
	"photo": true, "displayName": true, "phoneNumber": true, "cellPhone": true, "workPhone": true,
	"address": true, "city": true, "country": true, "postalCode": true,
}

// Merge combines what our store knows of a user, nil for nothing, with what a provider
// does. The provider wins in what the user is, our store in what the user wants; a blank
// never replaces a value. A user of a provider has the state Standard. Merging the same
// profile again changes nothing.
func Merge(stored *Record, p Profile) (Record, Provenance) {
	known := Record{}
	if stored != nil {
		known = *stored
	}
	out := Record{ID: known.ID, Email: known.Email, State: Standard, Metadata: Metadata{}, Verified: known.Verified}
	from := Provenance{}
	out.FirstName = from.choose(FieldFirstName, p.FirstName, FromProvider, known.FirstName, FromStore)
	out.LastName = from.choose(FieldLastName, p.LastName, FromProvider, known.LastName, FromStore)
	if stored != nil {
		from[FieldEmail], from[FieldVerified] = FromStore, FromStore
	}
	if !p.Email.IsZero() {
		out.Email, from[FieldEmail] = p.Email, FromProvider
	}
	if p.Verified != nil {
		out.Verified, from[FieldVerified] = *p.Verified, FromProvider
	}
	for _, key := range Keys {
		mine, theirs := known.Metadata[key], p.Metadata[key]
		text := ""
		if identityKeys[key] {
			text = from.choose(key, theirs, FromProvider, mine, FromStore)
		} else {
			text = from.choose(key, mine, FromStore, theirs, FromProvider)
		}
		if text != "" {
			out.Metadata[key] = text
		}
	}
	return out, from
}

// choose returns the first text that is not blank, and notes where it came from.
func (p Provenance) choose(field, first string, from Source, second string, other Source) string {
	switch {
	case !blank(first):
		p[field] = from
		return first
	case !blank(second):
		p[field] = other
		return second
	}
	return ""
}

func blank(text string) bool { return strings.TrimSpace(text) == "" }

// Learnt returns what a merged record says of a user that our store, nil where it knows
// nobody, does not say: the provider's fields that differ. ok is false when there is
// nothing.
func Learnt(stored *Record, merged Record, from Provenance) (in usersync.UserInput, ok bool) {
	known := Record{}
	if stored != nil {
		known = *stored
	}
	in.Email, ok = merged.Email, stored == nil
	for _, field := range from.OfProvider() {
		switch field {
		case FieldEmail: // an address is the same but for the case of its letters
		case FieldFirstName:
			ok = ok || merged.FirstName != known.FirstName
			in.FirstName = merged.FirstName
		case FieldLastName:
			ok = ok || merged.LastName != known.LastName
			in.LastName = merged.LastName
		case FieldVerified:
			if stored == nil || merged.Verified != known.Verified {
				in.Attributes, ok = with(in.Attributes, VerifiedAttribute, merged.Verified), true
			}
		default:
			if text := merged.Metadata[field]; text != known.Metadata[field] {
				in.Attributes, ok = with(in.Attributes, field, text), true
			}
		}
	}
	return in, ok
}

func with(attributes map[string]any, name string, value any) map[string]any {
	if attributes == nil {
		attributes = map[string]any{}
	}
	attributes[name] = value
	return attributes
}
