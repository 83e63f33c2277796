// Package provision keeps the users and groups that identity providers provision by SCIM,
// and has the users of the organization follow them: each is stored, reported, and pushed to
// the platforms or taken off them.
package provision

import (
	"encoding/json"
	"slices"
	"strings"

	"usersync/internal/scim"
	"usersync/internal/store"
	"usersync/internal/usersync"
)

// Base begins the paths of all resources.
const Base = "/scim/v2"

// source is that of the events that a change of a group writes, and of moves to another
// address.
const source = "scim"

// By is who calls, for which organization, and in which call.
type By struct {
	Org *store.Org
	// Salt is the organization's.
	Salt []byte
	// Actor is the id of the API key. RequestID is that of the call.
	Actor, RequestID, Traceparent string
}

// Query narrows a list of resources.
type Query struct {
	// Filter is nil for all.
	Filter *scim.Filter
	// Start is the number of the first one, from 1, and Count is how many are wanted.
	Start, Count int
}

// Page is a part of a list. Total counts the whole list.
type Page[T any] struct {
	Total int
	Items []T
}

// The bounds of a search without anything to look up by.
const (
	// maxScanned is how many resources are looked through.
	maxScanned = 10_000
	// scanStep is how many are in memory at a time.
	scanStep = 200
)

var errTooMany = scim.Refuse(scim.TooMany, "there are too many resources to look through; compare userName, displayName, externalId, id, emails or members by eq")

// kept is what a row keeps of a resource.
type kept struct {
	id       string
	resource scim.Resource
	version  int64
	created  usersync.Time
	updated  usersync.Time
}

func scanKept(scan func(...any) error) (k kept, err error) {
	var text string
	var created, updated int64
	if err = scan(&k.id, &text, &k.version, &created, &updated); err != nil {
		return k, err
	}
	k.created, k.updated = store.Stamp(created), store.Stamp(updated)
	return k, store.Decode(text, &k.resource)
}

// complete returns the resource with what the service says of it.
func (k kept) complete(t *scim.Type) scim.Resource {
	r := k.resource.Clone()
	r["id"] = k.id
	r["meta"] = map[string]any{
		"resourceType": t.Name, "created": timestamp(k.created), "lastModified": timestamp(k.updated), "location": Base + t.Endpoint + "/" + k.id,
	}
	return r
}

func timestamp(t usersync.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// encode returns a resource as a row keeps it.
func encode(r scim.Resource) string {
	text, _ := json.Marshal(r) // texts, numbers and booleans can always be JSON
	return string(text)
}

// nameKey is by what names of users and groups are one: they do not count letter case.
func nameKey(name string) string { return strings.ToLower(strings.TrimSpace(name)) }

// window counts what a search has found, and keeps the part of it that was asked for.
type window[T any] struct {
	query Query
	page  Page[T]
}

func (w *window[T]) add(one T) {
	w.page.Total++
	if w.page.Total >= w.query.Start && len(w.page.Items) < w.query.Count {
		w.page.Items = append(w.page.Items, one)
	}
}

// term returns the value that a filter wants of an attribute; ok is false when it does not
// say one.
func term(f *scim.Filter, name string) (value string, ok bool) {
	terms := f.Terms()
	i := slices.IndexFunc(terms, func(t scim.Term) bool { return t.Name == name })
	if i < 0 {
		return "", false
	}
	return terms[i].Value, true
}
