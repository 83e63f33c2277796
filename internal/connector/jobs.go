package connector

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"usersync/internal/usersync"
)

// Entry is one person of a job.
type Entry struct {
	// Place is the person's place in the push.
	Place int
	// Remote is the platform's id of the person, or "" if it is not known.
	Remote string
	// Left says that the person has unsubscribed. They get jobs of their own.
	Left bool
	// Body is what is sent of the person.
	Body json.RawMessage
}

// Jobs hands people to a platform that works on many of them later.
type Jobs struct {
	// Platform is what the platform is called in sentences.
	Platform string
	// MaxBytes bounds the bodies of one job; 0 is no bound. No body is longer.
	MaxBytes int
	// Make makes one job. Either all of its people have left, or none. If the
	// platform refuses the job because of people, guilty says which, by their place
	// in the job, and why.
	Make func(ctx context.Context, people []Entry) (id string, guilty map[int]string, err error)
}

// resends bounds how often a job is made again without those it was refused for.
const resends = 3

// leftJob is the prefix of the id of a job of people who have left.
const leftJob = "left:"

// JobOf returns the platform's id of a job, and whether its people have left.
func JobOf(job string) (id string, left bool) { return strings.CutPrefix(job, leftJob) }

// HandIn makes as few jobs of people as their size allows. People who have left come
// last. It writes the results into the places of the people. After an error the
// others have no result.
func (j Jobs) HandIn(ctx context.Context, people []Entry, results []Result) error {
	var staying, left []Entry
	for _, e := range people {
		if e.Left {
			left = append(left, e)
			continue
		}
		staying = append(staying, e)
	}
	for _, some := range append(j.split(staying), j.split(left)...) {
		if err := j.make(ctx, some, results); err != nil {
			return fmt.Errorf("make a job: %w", err)
		}
	}
	return nil
}

// split cuts people into the jobs that their bodies fit into.
func (j Jobs) split(people []Entry) [][]Entry {
	var out [][]Entry
	size := 0
	for i, e := range people {
		if i == 0 || j.MaxBytes > 0 && size+len(e.Body) > j.MaxBytes {
			out, size = append(out, nil), 0
		}
		out[len(out)-1] = append(out[len(out)-1], e)
		size += len(e.Body) + 1
	}
	return out
}

// make makes one job. When it is refused for some of its people it is made again
// without them.
func (j Jobs) make(ctx context.Context, people []Entry, results []Result) error {
	for try := 0; len(people) > 0; try++ {
		id, guilty, err := j.Make(ctx, people)
		if err == nil {
			j.hand(people, id, results)
			return nil
		}
		if usersync.CodeOf(err) != usersync.CodeRejected || len(guilty) == 0 || try == resends {
			return err
		}
		var rest []Entry
		for i, e := range people {
			if said, ok := guilty[i]; ok {
				results[e.Place] = RejectedFor(said)
				continue
			}
			rest = append(rest, e)
		}
		people = rest
	}
	return nil
}

func (j Jobs) hand(people []Entry, id string, results []Result) {
	for _, e := range people {
		job := id
		if e.Left {
			job = leftJob + id
		}
		results[e.Place] = Working(j.Platform, job, e.Remote)
	}
}

// Bodies are the bodies of people, for the call that makes a job.
func Bodies(people []Entry) []json.RawMessage {
	out := make([]json.RawMessage, len(people))
	for i, e := range people {
		out[i] = e.Body
	}
	return out
}

// Everybody gives all people the same result. They keep what they had to keep
// unless it gives them something else.
func Everybody(people []Profile, r Result) []Result {
	results := make([]Result, len(people))
	for i, p := range people {
		results[i] = r
		if r.Remote == "" {
			results[i].Remote = p.Remote
		}
	}
	return results
}
