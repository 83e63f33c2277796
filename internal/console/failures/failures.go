// Package failures groups failed requests by what they have in common.
package failures

import (
	"cmp"
	"slices"
	"time"

	"usersync/internal/request"
	"usersync/internal/usersync"
)

// Cause is what failures have in common.
type Cause struct {
	Step       request.StepName
	Platform   string
	Connection string
	Code       usersync.Code
}

// Group is the failures of one cause.
type Group struct {
	Cause
	Requests []string // their ids, newest first
	Message  string   // of the newest
	Newest   usersync.Time
	// Bars are counts over time, oldest first.
	Bars [barCount]int
}

// barCount is how many parts of the time are told apart.
const barCount = 24

// Groups are the failures by their causes, the most frequent first.
type Groups struct {
	List []Group
	// Requests is how many failed, and From when the oldest of them came.
	Requests int
	From     time.Time
}

// GroupsOf groups requests, newest first, by what failed in them.
func GroupsOf(list []*request.View, now time.Time) Groups {
	f := Groups{Requests: len(list), From: now}
	if len(list) > 0 {
		f.From = list[len(list)-1].CreatedAt.Time
	}
	width := max(now.Sub(f.From)/barCount, time.Second)
	by := map[Cause]*Group{}
	for _, r := range list {
		for _, s := range r.Steps {
			if s.Status != request.StepFailed || s.Error == nil {
				continue
			}
			k := Cause{s.Name, s.Platform, s.ConnectionID, s.Error.Code}
			if by[k] == nil {
				by[k] = &Group{Cause: k, Message: s.Error.Message, Newest: r.CreatedAt}
			}
			by[k].Requests = append(by[k].Requests, r.RequestID)
			by[k].Bars[min(max(int(r.CreatedAt.Sub(f.From)/width), 0), barCount-1)]++
		}
	}
	for _, g := range by {
		f.List = append(f.List, *g)
	}
	slices.SortFunc(f.List, func(a, b Group) int {
		return cmp.Or(cmp.Compare(len(b.Requests), len(a.Requests)), cmp.Compare(b.Newest.UnixMicro(), a.Newest.UnixMicro()), cmp.Compare(a.Connection, b.Connection))
	})
	return f
}
