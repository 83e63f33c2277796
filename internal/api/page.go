package api

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"net/http"
	"strconv"

	"usersync/internal/usersync"
)

// These are the bounds of the pages of lists.
const (
	defaultPage = 50
	maxPage     = 500
)

// PageQuery returns the parameters of a list that can be paged and narrowed by filters,
// for Route.Query.
func PageQuery(filters ...string) []string { return append(filters, "limit", "cursor") }

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

const (
	// listStep is how many items of a list are in memory at a time. A page of the
	// usual size is loaded in one step.
	listStep = defaultPage + 1
	// maxListBytes bounds the items of one answer in bytes of JSON, at 1 MiB. A page
	// that would be longer ends early with a cursor. Its first item may be larger.
	maxListBytes = 1 << 20
)

// Load returns up to limit items of a list that follow the item before, the first
// ones for "".
type Load[T any] func(before string, limit int) ([]T, error)

// AnswerList answers 200 with one page of a list. It loads the items step by step and
// keeps only their text, so that a slow reader of large items holds little memory.
// keyOf returns what a cursor says of an item.
func AnswerList[T any](c *Call, p Page, load Load[T], keyOf func(T) string) error {
	return AnswerListOf(c, p, load, keyOf, func(item T) ([]T, error) { return []T{item}, nil })
}

// AnswerListOf is AnswerList for a list that shows for each item what viewsOf makes of
// it: one thing, none or several.
func AnswerListOf[T, V any](c *Call, p Page, load Load[T], keyOf func(T) string, viewsOf func(T) ([]V, error)) error {
	page := listPage{left: p.Limit, next: p.Before}
	page.out.WriteString(`{"items":[`)
	for more := true; more; {
		limit := min(listStep, page.left+1)
		items, err := load(page.next, limit)
		if err != nil {
			return fmt.Errorf("load the page: %w", err)
		}
		for _, item := range items {
			views, err := viewsOf(item)
			if err != nil {
				return fmt.Errorf("convert an item of the page: %w", err)
			}
			taken, err := addItem(&page, keyOf(item), views)
			if err != nil {
				return err
			}
			if !taken {
				return page.answer(c)
			}
		}
		more = len(items) == limit
	}
	page.next = ""
	return page.answer(c)
}

// listPage is one page of a list as it is written.
type listPage struct {
	out    bytes.Buffer
	left   int    // how many items there is room for
	next   string // the key of the item written last
	filled bool
}

// addItem writes what is shown of the item with a key. It reports false when the page is full.
func addItem[V any](p *listPage, key string, views []V) (taken bool, err error) {
	if p.left == 0 {
		return false, nil
	}
	begin, filled := p.out.Len(), p.filled
	for _, v := range views {
		if p.filled {
			p.out.WriteByte(',')
		}
		if err := encodeJSON(&p.out, v); err != nil {
			return false, err
		}
		p.filled = true
	}
	if filled && p.out.Len() > maxListBytes {
		p.out.Truncate(begin)
		return false, nil
	}
	p.left--
	p.next = key
	return true, nil
}

func (p *listPage) answer(c *Call) error {
	p.out.WriteString(`],"nextCursor":"` + cursorOf(p.next) + `"}`)
	return c.Blob(http.StatusOK, "application/json", p.out.Bytes())
}

// cursorOf returns the cursor of the page behind an item, "" for no item.
func cursorOf(key string) string { return base64.RawURLEncoding.EncodeToString([]byte(key)) }
