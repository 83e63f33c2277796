package api

import (
	"encoding/base64"
	"fmt"
	"strconv"

	"usersync/internal/usersync"
)

// These are the bounds of the pages of lists.
const (
	defaultPage = 50
	maxPage     = 500
)

// Page says which part of a list is asked for.
type Page struct {
	// Before is the id after which the page begins. It is "" for the first page.
	Before string
	// Limit is how many items are shown. Load one more to know whether more follow.
	Limit int
}

// Page reads the query parameters limit and cursor of a list of things whose
// ids begin with prefix.
func (c *Call) Page(prefix usersync.Prefix) (Page, error) {
	return c.PageOf(func(id string) bool { return usersync.HasPrefix(id, prefix) })
}

// PageOf is Page for things whose ids have another form; valid reports whether a
// text can be one.
func (c *Call) PageOf(valid func(string) bool) (p Page, err error) {
	query, err := c.Query()
	if err != nil {
		return p, fmt.Errorf("read the query: %w", err)
	}
	p.Limit = defaultPage
	if text := query.Get("limit"); text != "" {
		p.Limit, err = strconv.Atoi(text)
		if err != nil || p.Limit < 1 || p.Limit > maxPage {
			return p, Invalid("limit", "must be a whole number from 1 to "+strconv.Itoa(maxPage))
		}
	}
	if text := query.Get("cursor"); text != "" {
		id, err := base64.RawURLEncoding.DecodeString(text)
		if err != nil || !isText(string(id)) || !valid(string(id)) {
			return p, Invalid("cursor", "must be the nextCursor of an earlier page")
		}
		p.Before = string(id)
	}
	return p, nil
}

// List is one page of a list, newest first.
type List[T any] struct {
	Items []T `json:"items"`
	// NextCursor asks for the next page. It is "" on the last page.
	NextCursor string `json:"nextCursor"`
}

// NewList returns the page of items, of which one more than the page's limit
// was loaded when there are more. id returns an item's.
func NewList[T any](p Page, items []T, id func(T) string) List[T] {
	if len(items) <= p.Limit {
		return List[T]{Items: append([]T{}, items...)}
	}
	items = items[:p.Limit]
	return List[T]{Items: items, NextCursor: base64.RawURLEncoding.EncodeToString([]byte(id(items[p.Limit-1])))}
}
