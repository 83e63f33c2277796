package connector_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"usersync/internal/connector"
	"usersync/internal/usersync"
)

// entries are n people with bodies of ten bytes.
func entries(n int) []connector.Entry {
	out := make([]connector.Entry, n)
	for i := range out {
		out[i] = connector.Entry{Place: i, Remote: fmt.Sprint(i), Body: json.RawMessage(`"12345678"`)}
	}
	return out
}

// statuses are those of results, by their first letters; a dot is none.
func statuses(results []connector.Result) string {
	out := ""
	for _, r := range results {
		out += (string(r.Status) + ".")[:1]
	}
	return out
}

func TestJobsAreSplitBySizeAndThoseWhoLeftComeLast(t *testing.T) {
	t.Parallel()
	people := entries(7)
	people[1].Left, people[4].Left = true, true
	var jobs []string
	results := make([]connector.Result, len(people))
	err := connector.Jobs{Platform: "Acme", MaxBytes: 25, Make: func(_ context.Context, people []connector.Entry) (string, map[int]string, error) {
		var who []string
		for _, e := range people {
			who = append(who, e.Remote)
		}
		jobs = append(jobs, strings.Join(who, ","))
		return fmt.Sprint("job", len(jobs)), nil, nil
	}}.HandIn(t.Context(), people, results)
	if want := []string{"0,2", "3,5", "6", "1,4"}; err != nil || !slices.Equal(jobs, want) {
		t.Errorf("got jobs of %v, %v, want %v", jobs, err, want)
	}
	for i, want := range []string{"job1", "left:job4", "job1", "job2", "left:job4", "job2", "job3"} {
		if r := results[i]; r.Status != connector.Pending || r.Job != want || r.Remote != fmt.Sprint(i) {
			t.Errorf("person %d: %+v, want %s", i, r, want)
		}
	}
	if id, left := connector.JobOf("left:job4"); id != "job4" || !left {
		t.Errorf("got %q, %v", id, left)
	}
}

func TestAJobIsMadeAgainWithoutThoseItWasRefusedFor(t *testing.T) {
	t.Parallel()
	refused := usersync.Errorf(usersync.CodeRejected, "no")
	for _, c := range []struct {
		name    string
		guilty  func(try, n int) map[int]string
		err     *usersync.Error
		results string
		code    usersync.Code
		calls   int
	}{
		{"one is to blame", func(try, _ int) map[int]string { return map[int]string{1: "bad"} }, refused, "pfp", "", 2},
		{"all are to blame", func(_, n int) map[int]string { return map[int]string{0: "a", 1: "b", 2: "c"} }, refused, "fff", "", 1},
		{"nobody is named", func(int, int) map[int]string { return nil }, refused, "...", usersync.CodeRejected, 1},
		{"the platform is away", func(int, int) map[int]string { return map[int]string{1: "bad"} },
			usersync.Errorf(usersync.CodeUnavailable, "away"), "...", usersync.CodeUnavailable, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			calls := 0
			results := make([]connector.Result, 3)
			err := connector.Jobs{Platform: "Acme", Make: func(_ context.Context, people []connector.Entry) (string, map[int]string, error) {
				if calls++; calls == 1 {
					return "", c.guilty(calls, len(people)), c.err
				}
				return "job", nil, nil
			}}.HandIn(t.Context(), entries(3), results)
			if got := statuses(results); got != c.results || usersync.CodeOf(err) != c.code || calls != c.calls {
				t.Errorf("got %s after %d calls, %v", got, calls, err)
			}
		})
	}
}

func TestAJobIsNotMadeAgainForEver(t *testing.T) {
	t.Parallel()
	calls := 0
	results := make([]connector.Result, 9)
	err := connector.Jobs{Platform: "Acme", Make: func(context.Context, []connector.Entry) (string, map[int]string, error) {
		calls++
		return "", map[int]string{0: "bad"}, usersync.Errorf(usersync.CodeRejected, "no")
	}}.HandIn(t.Context(), entries(9), results)
	if got := statuses(results); got != "fff......" || usersync.CodeOf(err) != usersync.CodeRejected || calls != 4 {
		t.Errorf("got %s after %d calls, %v", got, calls, err)
	}
}
