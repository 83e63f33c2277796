package management

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"usersync/internal/connector"
	"usersync/internal/mask"
	"usersync/internal/platform"
)

// checkNames notes the fields that a platform does not have. It compares names
// exactly; a decoder would ignore upper and lower case.
func (v *invalid) checkNames(place string, known []connector.Field, sent map[string]json.RawMessage) {
	for _, name := range slices.Sorted(maps.Keys(sent)) {
		if !slices.ContainsFunc(known, func(f connector.Field) bool { return f.Name == name }) {
			v.add(place+"."+name, "is not a known field")
		}
	}
}

// merge writes the fields that were sent to those that are stored and returns
// the names of those that changed. null takes a field away.
func merge(place string, stored, sent map[string]json.RawMessage) (changed []string) {
	for _, name := range slices.Sorted(maps.Keys(sent)) {
		old, had := stored[name]
		value := mask.Encode(sent[name])
		isNull := string(value) == "null"
		switch {
		case isNull && !had, had && bytes.Equal(old, value):
			continue
		case isNull:
			delete(stored, name)
		default:
			stored[name] = value
		}
		changed = append(changed, place+name)
	}
	return changed
}

// readable reports whether a credential is no secret and is shown as it is. A list
// or a map may hold anything, so both count as secrets.
func readable(f connector.Field) bool {
	return !f.Secret && f.Type != "list" && f.Type != "map"
}

// Shown returns the credentials of a connection with their secrets masked. When
// the platform is not known, every credential counts as a secret.
func (s *Service) Shown(c platform.Connection) (json.RawMessage, error) {
	kind, _ := s.kind(c.Platform)
	fields, err := mask.Object([]byte(c.Credentials.Reveal()))
	if err != nil {
		return nil, fmt.Errorf("read the credentials: %w", err)
	}
	for name, value := range fields {
		if isReadable(kind, name) {
			continue
		}
		plain, err := mask.Parse(value)
		if err != nil {
			return nil, fmt.Errorf("read the credential %s: %w", name, err)
		}
		fields[name] = mask.Encode(mask.Texts(plain))
	}
	return mask.Encode(fields), nil
}

func isReadable(kind connector.Platform, name string) bool {
	return slices.ContainsFunc(kind.Credentials, func(f connector.Field) bool { return f.Name == name && readable(f) })
}

// keepMasked replaces the masks that were sent by the stored secrets. It reports
// whether any secret stays as it is stored.
func (in ConnectionInput) keepMasked(v *invalid, kind connector.Platform, stored map[string]json.RawMessage) (kept bool) {
	for name, value := range stored {
		_, replaced := in.Credentials[name]
		kept = kept || !replaced && !isReadable(kind, name) && len(value) > 0
	}
	for _, name := range slices.Sorted(maps.Keys(in.Credentials)) {
		if isReadable(kind, name) {
			continue
		}
		sent, err := mask.Parse(in.Credentials[name])
		old, oldErr := mask.Parse(stored[name])
		if err != nil || oldErr != nil {
			continue // opening the connection says what is wrong
		}
		masks := mask.Held(sent)
		plain := mask.Undo(sent, old)
		if mask.Held(plain) {
			v.add("credentials."+name, "is the mask of a secret; send the secret itself, or leave the field out to keep it")
			continue
		}
		in.Credentials[name], kept = mask.Encode(plain), kept || masks
	}
	return kept
}
