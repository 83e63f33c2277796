package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"usersync/internal/request"
)

// listed is a request as the service lists it, as far as it matters here.
type listed struct {
	RequestID  string             `json:"requestId"`
	Status     request.Status     `json:"status"`
	Steps      []request.StepView `json:"steps"`
	Colleagues struct {
		Found int `json:"found"`
	} `json:"colleagues"`
	Credits struct {
		Charged int64 `json:"charged"`
	} `json:"credits"`
}

// settled reports whether there is nothing to wait for: what awaits credits may
// do so for a month, and what waits for a connection until somebody resumes it.
func (l listed) settled() bool {
	return l.Status.Final() || l.Status == request.AwaitingCredits || request.View{Status: l.Status, Steps: l.Steps}.Rests()
}

// Between two walks over the list.
const (
	walkPause = time.Second
	walkMost  = 10 * time.Second
)

// watch waits until every accepted request is settled. It walks over pages of
// the list, newest first, each time only as far as requests are unsettled: what
// is left stands mostly at the beginning.
func (j *syncJob) watch(ctx context.Context, log *journal, s *summary) error {
	left := map[string]bool{}
	for _, id := range log.requests() {
		left[id] = true
	}
	s.outcomes = map[request.Status]int{}
	j.progress.begin("done", len(left))
	defer j.progress.end()
	for pause := walkPause; len(left) > 0; pause = min(pause*3/2, walkMost) {
		before := len(left)
		open, err := j.walk(ctx, log.head.Began.Add(-replayed), left, s)
		if refused, ok := errors.AsType[*callError](err); ok && refused.status == http.StatusForbidden {
			s.unseen = refused.message
			return nil
		}
		if err != nil {
			return err
		}
		j.progress.add(before - len(left))
		if open == 0 {
			s.unknown = len(left)
			return nil
		}
		if len(left) < before {
			pause = walkPause
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
	return nil
}

// replayed is how old a request can be that a call's repetition brings back:
// the service knows an Idempotency-Key for 24 h. The rest is for its clock.
const replayed = 25 * time.Hour

// walk takes the settled requests out of left and returns how many it met that
// are not.
func (j *syncJob) walk(ctx context.Context, since time.Time, left map[string]bool, s *summary) (open int, err error) {
	query := url.Values{"limit": {"500"}, "kind": {string(request.KindUserSync)}, "since": {since.UTC().Format(time.RFC3339)}}
	for {
		a, err := j.client.call(ctx, http.MethodGet, "/v1/requests?"+query.Encode(), "", nil)
		if err != nil {
			return open, fmt.Errorf("list the requests: %w", err)
		}
		var page struct {
			Items      []listed `json:"items"`
			NextCursor string   `json:"nextCursor"`
		}
		if a.status != http.StatusOK || json.Unmarshal(a.body, &page) != nil {
			return open, a.err()
		}
		for _, one := range page.Items {
			switch {
			case !left[one.RequestID]:
			case !one.settled():
				open++
			default:
				delete(left, one.RequestID)
				s.outcomes[one.Status]++
				s.colleagues += one.Colleagues.Found
				s.charged += one.Credits.Charged
			}
		}
		if page.NextCursor == "" || open == len(left) {
			return open, nil
		}
		query.Set("cursor", page.NextCursor)
	}
}
