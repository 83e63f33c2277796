package store

import (
	"encoding/json"
	"fmt"
	"strings"

	"usersync/internal/usersync"
)

// IDRows makes the rows of a statement whose one column is an id.
func IDRows(st *Statement, ids []string) *Rows {
	set := st.Rows(len(ids))
	for _, id := range ids {
		set.Add(id)
	}
	return set
}

// ScanString reads a row of one text, for Collect.
func ScanString(scan func(...any) error) (s string, err error) { return s, scan(&s) }

// AfterAll sorts behind every id of a kind: where a list begins that is read from
// the newest on. A list that begins there and one that goes on are one statement,
// and both read the index from where they begin.
func AfterAll(p usersync.Prefix) string { return string(p) + "~" }

// Encode writes a map as JSON, "" for an empty one. Its values come from
// decoded JSON, which can always be encoded again.
func Encode[K ~string, V any](m map[K]V) string {
	if len(m) == 0 {
		return ""
	}
	text, err := json.Marshal(m)
	if err != nil {
		panic("store: a map of plain values cannot be JSON: " + err.Error())
	}
	return string(text)
}

// Decode is the inverse of Encode: it leaves to alone where the text is empty. Numbers
// of any become json.Number, which keeps their digits.
func Decode[T any](text string, to *T) error {
	if text == "" {
		return nil
	}
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	if err := decoder.Decode(to); err != nil {
		return fmt.Errorf("decode stored JSON: %w", err)
	}
	return nil
}
