// Package mask hides the texts of JSON values that are secret, and puts the secrets back
// where a caller sends their masks.
package mask

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"

	"usersync/internal/usersync"
)

// Parse reads a JSON value. Numbers stay as they are written.
func Parse(text json.RawMessage) (value any, err error) {
	if len(text) == 0 {
		return nil, nil
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	err = decoder.Decode(&value)
	return value, err
}

// Object reads the fields of a JSON object. An empty text is an empty object.
func Object(text []byte) (map[string]json.RawMessage, error) {
	fields := map[string]json.RawMessage{}
	if len(text) == 0 {
		return fields, nil
	}
	err := json.Unmarshal(text, &fields)
	return fields, err
}

// Encode writes JSON. It cannot fail, since v was read from JSON.
func Encode(v any) json.RawMessage {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(v)
	return bytes.TrimSpace(out.Bytes())
}

// Texts returns a value with every text in it masked.
func Texts(value any) any {
	switch v := value.(type) {
	case string:
		return usersync.NewSecret(v).Masked()
	case []any:
		for i := range v {
			v[i] = Texts(v[i])
		}
	case map[string]any:
		for name := range v {
			v[name] = Texts(v[name])
		}
	}
	return value
}

// Undo returns what was sent, with every mask replaced by the stored text.
func Undo(sent, stored any) any {
	switch v := sent.(type) {
	case string:
		if old, ok := stored.(string); ok && old != "" && v == usersync.NewSecret(old).Masked() {
			return old
		}
	case []any:
		olds, _ := stored.([]any)
		for i := range min(len(v), len(olds)) {
			v[i] = Undo(v[i], olds[i])
		}
	case map[string]any:
		olds, _ := stored.(map[string]any)
		for name := range v {
			v[name] = Undo(v[name], olds[name])
		}
	}
	return sent
}

// Held reports whether a value still holds a mask. Such a mask belongs to
// another secret than the stored one.
func Held(value any) bool {
	switch v := value.(type) {
	case string:
		return strings.HasPrefix(v, usersync.NewSecret("short").Masked())
	case []any:
		return slices.ContainsFunc(v, Held)
	case map[string]any:
		for _, one := range v {
			if Held(one) {
				return true
			}
		}
	}
	return false
}
