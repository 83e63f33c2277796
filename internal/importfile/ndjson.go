package importfile

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
)

const (
	faultNoObject = "is not a JSON object"
	faultJSON     = "is not valid JSON"
	// attributes is the member whose own members are taken as others.
	attributes = "attributes"
	// maxNames bounds how many names of members are remembered, and maxName how long
	// they are, in bytes.
	maxNames = 1000
	maxName  = 256
)

type ndjsonReader struct {
	*lines
	known  names
	others bool
	// seen remembers the field of each name. It is nil for names that belong to no
	// field.
	seen    map[string]*match
	ignored []string
}

func openNDJSON(l *lines, o Options) *ndjsonReader {
	return &ndjsonReader{lines: l, known: namesOf(o.Fields), others: o.Others, seen: map[string]*match{}}
}

func (n *ndjsonReader) row() (Row, error) {
	for {
		one, err := n.next()
		switch {
		case err != nil:
			return Row{}, err
		case one.fault != "":
			return Row{}, &LineError{Line: n.number, Message: one.fault}
		case strings.TrimSpace(one.text) == "":
			continue
		}
		return n.parse(one.text)
	}
}

func (n *ndjsonReader) parse(text string) (Row, error) {
	if !strings.HasPrefix(strings.TrimSpace(text), "{") {
		return Row{}, &LineError{Line: n.number, Message: faultNoObject}
	}
	var members map[string]any
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	if err := decoder.Decode(&members); err != nil {
		return Row{}, &LineError{Line: n.number, Message: faultJSON}
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return Row{}, &LineError{Line: n.number, Message: faultJSON}
	}
	if hasNUL(members) {
		return Row{}, &LineError{Line: n.number, Message: faultNUL}
	}
	return n.fill(members)
}

// fill makes a row of the members. It sorts them by name first, so that the result
// does not depend on chance if two of them stand for one field.
func (n *ndjsonReader) fill(members map[string]any) (Row, error) {
	row := Row{Line: n.number, Values: make(map[Field]string, len(members))}
	ranks := map[Field]int{}
	list := make([]string, 0, len(members))
	for name := range members {
		list = append(list, name)
	}
	slices.Sort(list)
	for _, name := range list {
		m := n.match(name)
		if m == nil {
			n.other(&row, name, members[name])
			continue
		}
		value, ok := textOf(members[name])
		if !ok {
			return Row{}, &LineError{Line: n.number, Field: m.field, Message: "must be a text"}
		}
		if before, taken := ranks[m.field]; value == "" || taken && before <= m.rank {
			continue
		}
		ranks[m.field], row.Values[m.field] = m.rank, value
	}
	return row, nil
}

// textOf returns the text of a value, which is "" for null. It reports false for a
// value of another type.
func textOf(value any) (string, bool) {
	if value == nil {
		return "", true
	}
	text, ok := value.(string)
	return strings.TrimSpace(text), ok
}

func (n *ndjsonReader) match(name string) *match {
	if m, ok := n.seen[name]; ok {
		return m
	}
	var found *match
	if m, ok := n.known.find(name); ok {
		found = &m
	}
	if len(n.seen) >= maxNames || len(name) > maxName {
		return found
	}
	n.seen[name] = found
	if found == nil && name != attributes {
		n.ignored = append(n.ignored, name)
	}
	return found
}

func (n *ndjsonReader) other(row *Row, name string, value any) {
	if !n.others || value == nil {
		return
	}
	if row.Others == nil {
		row.Others = map[string]any{}
	}
	inner, ok := value.(map[string]any)
	if name != attributes || !ok {
		row.Others[name] = value
		return
	}
	for name, value := range inner {
		row.Others[name] = value
	}
}

// hasNUL reports whether a value holds a NUL character. The line itself cannot hold
// one, because JSON writes it as an escape.
func hasNUL(value any) bool {
	switch v := value.(type) {
	case string:
		return strings.IndexByte(v, 0) >= 0
	case []any:
		return slices.ContainsFunc(v, hasNUL)
	case map[string]any:
		for name, inner := range v {
			if strings.IndexByte(name, 0) >= 0 || hasNUL(inner) {
				return true
			}
		}
	}
	return false
}

// isNDJSON reports whether the beginning of a file is NDJSON rather than CSV.
func isNDJSON(l *lines) bool {
	sample, _ := l.source.Peek(maxLine)
	return bytes.HasPrefix(bytes.TrimLeft(sample, " \t\r\n"), []byte("{"))
}
