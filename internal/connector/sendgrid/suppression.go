package sendgrid

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"usersync/internal/connector"
)

// These are the lists of people who want no mail of the account: those who have
// unsubscribed from all of it, and those who have complained. Contacts, lists and fields
// do not change them.
var suppressions = []struct{ one, all string }{
	{"/v3/asm/suppressions/global/", "/v3/suppression/unsubscribes"},
	{"/v3/suppression/spam_reports/", "/v3/suppression/spam_reports"},
}

const (
	// lookedUp is up to how many people are asked for one by one. More take a page at least.
	lookedUp = 3
	// suppressedPage is the most addresses that a page has. maxSuppressedPages bounds how many
	// pages of a list are read for a push. Who stands behind them is pushed like anybody,
	// and gets no mail all the same.
	suppressedPage     = 500
	maxSuppressedPages = 20
)

// entry is an address on a list.
type entry struct {
	Email string `json:"email"`
}

// left returns who of the people wants no mail, by address in lower case. Nobody is known
// to a key that may not ask.
func (c *client) left(ctx context.Context, people []connector.Profile) (map[string]bool, error) {
	out := map[string]bool{}
	for _, list := range suppressions {
		var err error
		if len(people) <= lookedUp {
			err = c.lookUp(ctx, list.one, people, out)
		} else {
			err = c.readAll(ctx, list.all, out)
		}
		if err != nil {
			return nil, fmt.Errorf("read who wants no mail: %w", err)
		}
	}
	return out, nil
}

// lookUp asks for each person.
func (c *client) lookUp(ctx context.Context, path string, people []connector.Profile, out map[string]bool) error {
	for _, p := range people {
		answer, err := c.call(ctx, http.MethodGet, path+url.PathEscape(p.Email.Display()), nil, nil)
		if connector.NotFound(answer) || forbidden(answer) {
			continue
		}
		if err != nil {
			return err
		}
		if connector.IsEmpty(answer) {
			continue
		}
		if !names(answer) {
			return connector.Unexpected(platform)
		}
		out[p.Email.Key()] = true
	}
	return nil
}

// names reports whether the answer to a look-up names an address.
func names(answer *connector.Response) bool {
	var global struct {
		Email string `json:"recipient_email"`
	}
	var list []entry
	return connector.Decode(answer, &global) == nil && global.Email != "" ||
		connector.Decode(answer, &list) == nil && len(list) > 0 && list[0].Email != ""
}

// readAll reads a list.
func (c *client) readAll(ctx context.Context, path string, out map[string]bool) error {
	for page := range maxSuppressedPages {
		var list []entry
		query := url.Values{"limit": {strconv.Itoa(suppressedPage)}, "offset": {strconv.Itoa(page * suppressedPage)}}
		answer, err := c.call(ctx, http.MethodGet, path+"?"+query.Encode(), nil, &list)
		if forbidden(answer) {
			return nil
		}
		if err != nil {
			return err
		}
		for _, one := range list {
			out[strings.ToLower(one.Email)] = true
		}
		if len(list) < suppressedPage {
			break
		}
	}
	return nil
}

func forbidden(r *connector.Response) bool { return r != nil && r.Status == http.StatusForbidden }
