package management

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"usersync/internal/connector"
	"usersync/internal/platform"
	"usersync/internal/usersync"
)

// object reads the fields of a JSON object. An empty text is an empty object.
func object(text []byte) (map[string]json.RawMessage, error) {
	fields := map[string]json.RawMessage{}
	if len(text) == 0 {
		return fields, nil
	}
	err := json.Unmarshal(text, &fields)
	return fields, err
}

// encode writes JSON. It cannot fail, since v was read from JSON.
func encode(v any) json.RawMessage {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(v)
	return bytes.TrimSpace(out.Bytes())
}

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
		value := encode(sent[name])
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
	fields, err := object([]byte(c.Credentials.Reveal()))
	if err != nil {
		return nil, fmt.Errorf("read the credentials: %w", err)
	}
	for name, value := range fields {
		if isReadable(kind, name) {
			continue
		}
		plain, err := parse(value)
		if err != nil {
			return nil, fmt.Errorf("read the credential %s: %w", name, err)
		}
		fields[name] = encode(masked(plain))
	}
	return encode(fields), nil
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
		sent, err := parse(in.Credentials[name])
		old, oldErr := parse(stored[name])
		if err != nil || oldErr != nil {
			continue // opening the connection says what is wrong
		}
		masks := holdsMask(sent)
		plain := unmasked(sent, old)
		if holdsMask(plain) {
			v.add("credentials."+name, "is the mask of a secret; send the secret itself, or leave the field out to keep it")
			continue
		}
		in.Credentials[name], kept = encode(plain), kept || masks
	}
	return kept
}

// parse reads a JSON value. Numbers stay as they are written.
func parse(text json.RawMessage) (value any, err error) {
	if len(text) == 0 {
		return nil, nil
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	err = decoder.Decode(&value)
	return value, err
}

// masked returns a value with every text in it masked.
func masked(value any) any {
	switch v := value.(type) {
	case string:
		return usersync.NewSecret(v).Masked()
	case []any:
		for i := range v {
			v[i] = masked(v[i])
		}
	case map[string]any:
		for name := range v {
			v[name] = masked(v[name])
		}
	}
	return value
}

// unmasked returns what was sent, with every mask replaced by the stored text.
func unmasked(sent, stored any) any {
	switch v := sent.(type) {
	case string:
		if old, ok := stored.(string); ok && old != "" && v == usersync.NewSecret(old).Masked() {
			return old
		}
	case []any:
		olds, _ := stored.([]any)
		for i := range min(len(v), len(olds)) {
			v[i] = unmasked(v[i], olds[i])
		}
	case map[string]any:
		olds, _ := stored.(map[string]any)
		for name := range v {
			v[name] = unmasked(v[name], olds[name])
		}
	}
	return sent
}

// holdsMask reports whether a value still holds a mask. Such a mask belongs to
// another secret than the stored one.
func holdsMask(value any) bool {
	switch v := value.(type) {
	case string:
		return strings.HasPrefix(v, usersync.NewSecret("short").Masked())
	case []any:
		return slices.ContainsFunc(v, holdsMask)
	case map[string]any:
		for _, one := range v {
			if holdsMask(one) {
				return true
			}
		}
	}
	return false
}
