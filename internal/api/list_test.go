package api_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"usersync/internal/api"
	"usersync/internal/api/apitest"
	"usersync/internal/usersync"
)

// shelf is a list of items of given sizes. It notes how many were loaded at a time.
type shelf struct {
	ids   []string
	sizes []int
	most  int
}

type box struct {
	ID   string `json:"id"`
	Text string `json:"text"`
}

func newShelf(sizes ...int) *shelf {
	s := &shelf{sizes: sizes}
	for i := range sizes {
		s.ids = append(s.ids, fmt.Sprintf("%s_%026d", usersync.PrefixEvent, i))
	}
	return s
}

func (s *shelf) load(before string, limit int) ([]box, error) {
	var out []box
	for i, id := range s.ids {
		if id > before && len(out) < limit {
			out = append(out, box{id, strings.Repeat("x", s.sizes[i])})
		}
	}
	s.most = max(s.most, len(out))
	return out, nil
}

func (s *shelf) dialect() api.Dialect {
	return api.Dialect{Name: "shelf", Routes: []api.Route{{Method: http.MethodGet, Path: "/shelf", Handler: func(c *api.Call) error {
		p, err := c.Page(usersync.PrefixEvent)
		if err != nil {
			return err
		}
		return api.AnswerList(c, p, s.load, func(b box) string { return b.ID })
	}}}}
}

func sizes(n, size int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = size
	}
	return out
}

// TestListsEndAtTheirBoundWithACursor walks lists of all sorts of sizes by their
// cursors: every item comes once and in order, no answer is longer than 1 MiB, but for
// an item that is so alone, and no more than 51 items are in memory at a time.
func TestListsEndAtTheirBoundWithACursor(t *testing.T) {
	t.Parallel()
	const mib = 1 << 20
	for name, c := range map[string]struct {
		sizes []int
		limit int
		calls int
	}{
		"nothing":                  {nil, 50, 1},
		"one":                      {sizes(1, 1), 50, 1},
		"exactly a page":           {sizes(50, 1), 50, 1},
		"one more than a page":     {sizes(51, 1), 50, 2},
		"small ones":               {sizes(1000, 100), 500, 2},
		"as many as fit":           {sizes(500, 1000), 500, 1},
		"large ones":               {sizes(100, 390<<10), 500, 50},
		"each too large":           {sizes(3, 2*mib), 500, 3},
		"small ones, then a large": {append(sizes(60, 10), mib), 500, 2},
		"a large, then small ones": {append([]int{3 * mib}, sizes(60, 10)...), 500, 2},
		"one a page":               {sizes(5, 10), 1, 5},
	} {
		s := newShelf(c.sizes...)
		server := apitest.Start(t, s.dialect())
		var got []string
		calls := 0
		for cursor := ""; calls == 0 || cursor != ""; calls++ {
			a := server.Do(t, http.MethodGet, fmt.Sprintf("/shelf?limit=%d&cursor=%s", c.limit, cursor), "")
			var page struct {
				Items      []box  `json:"items"`
				NextCursor string `json:"nextCursor"`
			}
			a.JSON(t, &page)
			if len(a.Body) > mib+200 && len(page.Items) > 1 || len(page.Items) > c.limit || page.Items == nil {
				t.Fatalf("%s: %d items in %d bytes", name, len(page.Items), len(a.Body))
			}
			for _, b := range page.Items {
				got = append(got, b.ID)
			}
			cursor = page.NextCursor
		}
		if strings.Join(got, " ") != strings.Join(s.ids, " ") || calls != c.calls {
			t.Errorf("%s: %d items in %d calls, want %d in %d", name, len(got), calls, len(s.ids), c.calls)
		}
		if s.most > 51 {
			t.Errorf("%s: %d items in memory at a time", name, s.most)
		}
	}
}

// TestListThatFailsIsAnError checks that an error behind the first step of a list is
// answered as one.
func TestListThatFailsIsAnError(t *testing.T) {
	t.Parallel()
	s := newShelf(sizes(200, 1000)...)
	failing := func(before string, limit int) ([]box, error) {
		if before != "" {
			return nil, errors.New("the disk is full")
		}
		return s.load(before, limit)
	}
	server := apitest.Start(t, api.Dialect{Name: "shelf", Routes: []api.Route{
		{Method: http.MethodGet, Path: "/shelf", Handler: func(c *api.Call) error {
			return api.AnswerList(c, api.Page{Limit: 500}, failing, func(b box) string { return b.ID })
		}},
	}})
	if a := server.Do(t, http.MethodGet, "/shelf", ""); a.Status != http.StatusInternalServerError || !json.Valid([]byte(a.Body)) {
		t.Errorf("%d %.100s", a.Status, a.Body)
	}
}
