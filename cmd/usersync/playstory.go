package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"time"

	"usersync/internal/reaction"
	"usersync/internal/request"
)

// teller prints lines with the time since the beginning. It is safe for concurrent use.
type teller struct {
	mu    sync.Mutex
	to    io.Writer
	began time.Time
}

func (t *teller) say(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	_, _ = fmt.Fprintf(t.to, "%6.1f s  %s\n", time.Since(t.began).Seconds(), fmt.Sprintf(format, args...))
}

// maxShown bounds what is printed of a body, in bytes.
const maxShown = 500

// take tells what was sent to the receiver.
func (p *play) take(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(io.LimitReader(r.Body, maxShown))
	p.out.say("the receiver got %s %s %s", r.Method, r.URL.Path, strings.ToValidUTF8(string(body), ""))
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, `{"ok":true}`)
}

// story is what came of one event, as far as it was told.
type story struct {
	*play
	event string
	who   any
	// told are the lines that were printed, and asked the requests whose end is not known.
	told  map[string]bool
	asked map[string]bool
	last  reaction.Story
}

func newStory(p *play, event string, who any) *story {
	return &story{play: p, event: event, who: who, told: map[string]bool{}, asked: map[string]bool{}}
}

// once prints a line unless it was printed.
func (s *story) once(format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	if !s.told[line] {
		s.told[line] = true
		s.out.say("%v: %s", s.who, line)
	}
}

// asks finds the request that an action made.
var asks = regexp.MustCompile(`by request (req_\w+)`)

// look tells what is new. over says that nothing more comes.
func (s *story) look(ctx context.Context) (over bool, err error) {
	v, worked, err := s.client.event(ctx, s.event)
	if err != nil {
		return false, err
	}
	s.last, over = v.FollowUps, worked
	for _, r := range v.FollowUps.Runs {
		for _, d := range r.Actions {
			s.deed(r, d)
		}
		final := r.Status != reaction.Running && r.Status != reaction.Waiting
		if final {
			s.once("%s %s", r.Name, strings.TrimSuffix(string(r.Status)+": "+r.Error, ": "))
		}
		over = over && final
	}
	for _, u := range v.FollowUps.Unmatched {
		s.once("%s was not set off: %s", u.Name, u.Why)
	}
	if v.FollowUps.Error != "" {
		s.once("%s", v.FollowUps.Error)
	}
	ended, err := s.requests(ctx)
	return over && ended, err
}

func (s *story) deed(r reaction.RunView, d reaction.Deed) {
	line := fmt.Sprintf("%s %s %s, %s", r.Name, d.Place, d.Type, d.Status)
	if d.Status == reaction.DeedWaiting || d.Status == reaction.DeedRetrying {
		line += " until " + d.NextAt.Local().Format(time.TimeOnly)
	}
	if d.Details != "" {
		line += ": " + d.Details
	}
	s.once("%s", line)
	if found := asks.FindStringSubmatch(d.Details); found != nil {
		if _, known := s.asked[found[1]]; !known {
			s.asked[found[1]] = true
		}
	}
}

// requests tells how the requests ended that the actions made.
func (s *story) requests(ctx context.Context) (ended bool, err error) {
	ended = true
	for id, open := range s.asked {
		if !open {
			continue
		}
		v, err := s.client.request(ctx, id)
		if err != nil {
			return false, err
		}
		if !v.Status.Final() {
			ended = false
			continue
		}
		s.asked[id] = false
		for _, step := range v.Steps {
			s.once("request %s %s", id, told(step))
		}
	}
	return ended, nil
}

// told is a step in words.
func told(step request.StepView) string {
	line := strings.TrimSpace(string(step.Name)+" "+step.Platform) + " " + string(step.Status)
	details := step.Details
	if step.Error != nil {
		details = cmp.Or(step.Error.Message, details)
	}
	if details != "" {
		line += ": " + details
	}
	return line
}

// errFailed is what a play ends with in which a run failed.
var errFailed = errors.New("not every run went well, see above")

func verdict(stories []*story) error {
	for _, s := range stories {
		for _, r := range s.last.Runs {
			if r.Status == reaction.Failed {
				return errFailed
			}
		}
	}
	return nil
}
