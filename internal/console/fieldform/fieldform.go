// Package fieldform turns the fields of a platform's connections into what stands in the
// fields of a form, and back.
package fieldform

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"usersync/internal/connector"
	"usersync/internal/mask"
)

// TextOf is a value as it stands in a field of a form: the items of a list and of a map
// are lines.
func TextOf(value json.RawMessage) string {
	var text string
	if json.Unmarshal(value, &text) == nil {
		return text
	}
	var list []string
	if json.Unmarshal(value, &list) == nil {
		return strings.Join(list, "\n")
	}
	var table map[string]string
	if json.Unmarshal(value, &table) == nil {
		var lines []string
		for _, name := range slices.Sorted(maps.Keys(table)) {
			lines = append(lines, name+" = "+table[name])
		}
		return strings.Join(lines, "\n")
	}
	return string(value)
}

// ValueOf reads a field of a form; nil is none. fault says what is wrong with the text, in
// words that follow the name of the field.
func ValueOf(field connector.Field, text string) (value json.RawMessage, fault string) {
	if text == "" {
		return nil, ""
	}
	switch field.Type {
	case "integer", "number", "boolean":
		if !json.Valid([]byte(text)) || strings.ContainsAny(text[:1], `"[{n`) {
			return nil, "must be a " + field.Type
		}
		return json.RawMessage(text), ""
	case "list":
		return mask.Encode(lines(text)), ""
	case "map":
		table := map[string]string{}
		for _, line := range lines(text) {
			name, value, ok := strings.Cut(line, "=")
			if !ok {
				return nil, "must have lines of name = value"
			}
			table[strings.TrimSpace(name)] = strings.TrimSpace(value)
		}
		return mask.Encode(table), ""
	}
	return mask.Encode(text), ""
}

// lines are those of a text that say something.
func lines(text string) []string {
	var out []string
	for line := range strings.SplitSeq(text, "\n") {
		if line = strings.TrimSpace(line); line != "" {
			out = append(out, line)
		}
	}
	return out
}
