package copernica

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"usersync/internal/connector"
)

// A database that marks people who unsubscribe would cost every person of a push a
// question of their own. Many people are asked about at once instead: a page holds 1,000
// of those who are marked, whoever they are.

const (
	// pageSize is the most profiles in one answer.
	pageSize = 1000
	// perPage is how many people of a push one page of marked profiles is read for at
	// most. With more marked profiles than that it is cheaper to ask about each person.
	perPage = 10
)

// leavers are the values of the field that tells profiles apart, in lower case, of
// profiles that are marked.
type leavers struct{ values map[string]bool }

func (l *leavers) have(value string) bool { return l.values[strings.ToLower(value)] }

// leaversAmong reads the marked profiles of the database. It returns nil where each
// person has to be asked about.
func (c *copernica) leaversAmong(ctx context.Context, people []connector.Profile) (*leavers, error) {
	marks := c.marks()
	if c.facts.Labels[behaviorLabel] != behaviorUpdate || len(marks) == 0 || len(people) == 1 {
		return nil, nil
	}
	out := &leavers{values: map[string]bool{}}
	for read := 0; ; {
		query := url.Values{"fields[]": marks, "start": {strconv.Itoa(read)}, "limit": {strconv.Itoa(pageSize)}, "total": {"1"}}
		answer, err := c.read(ctx, query)
		if err != nil {
			return nil, fmt.Errorf("read the marked profiles: %w", err)
		}
		some := answer.profiles()
		for _, one := range some {
			if value, ok := one.value(c.settings.Match); ok && c.marked(one) {
				out.values[strings.ToLower(value)] = true
			}
		}
		read += len(some)
		switch {
		case read == answer.Total:
			return out, nil
		case len(some) == 0 || read > answer.Total || answer.Total > pageSize*max(len(people)/perPage, 1):
			return nil, nil
		}
	}
}

// marks are the conditions that select marked profiles. There are none where a mark
// cannot be written as a condition.
func (c *copernica) marks() []string {
	var out []string
	for label, value := range c.facts.Labels {
		name, ok := strings.CutPrefix(label, leftLabel)
		if !ok {
			continue
		}
		if value == "" || !fieldName.MatchString(name) || !plain(value) {
			return nil
		}
		out = append(out, name+"=="+value)
	}
	slices.Sort(out)
	return out
}
