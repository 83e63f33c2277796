//go:build unix

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"

	"golang.org/x/sync/errgroup"

	"usersync/internal/connector"
	"usersync/internal/connector/fakeplatform"
	"usersync/internal/connectors"
	"usersync/internal/connectors/fakes"
	"usersync/test/services"
	"usersync/test/system"
)

// platforms are the fakes of the platforms that are measured.
type platforms struct {
	server *fakeplatform.Server
	base   string // the address of server
	fakes  []fakeplatform.Platform
	kinds  []connector.Platform // of fakes
}

func newPlatforms(names []string) (*platforms, error) {
	p := &platforms{}
	all := map[string]fakeplatform.Platform{}
	for _, f := range fakes.New() {
		all[f.Name()] = f
	}
	for _, name := range names {
		kind, known := connectors.Find(name)
		if !known {
			return nil, fmt.Errorf("there is no platform %q", name)
		}
		p.kinds, p.fakes = append(p.kinds, kind), append(p.fakes, all[name])
	}
	p.server = fakeplatform.New(p.fakes...)
	return p, nil
}

// taken is what it took to sync all users to one platform.
type taken struct {
	kind  connector.Platform
	time  time.Duration
	began time.Time
	state fakeplatform.State
	// calls were made, without those of the check. again counts people who were written
	// more than once, and missing those who are not there.
	calls, again, missing int
	// jobs is what imports take that follow each other.
	jobs time.Duration
}

// jobsOf is how long a fake works on imports until somebody has arrived.
func jobsOf(f fakeplatform.Platform, o options) time.Duration {
	w, ok := f.(fakeplatform.Worker)
	if !ok {
		return 0
	}
	return time.Duration(w.Stages()) * o.job
}

// measureAll connects the platforms, then has everybody synced to one after the other, or
// to several at the same time.
func measureAll(ctx context.Context, s *service, p *platforms, o options) ([]taken, error) {
	out := make([]taken, len(p.fakes))
	for i, f := range p.fakes {
		if err := s.connect(ctx, f, p.base+"/"+f.Name()); err != nil {
			return nil, fmt.Errorf("connect %s: %w", f.Name(), err)
		}
		p.server.Slow(f.Name(), o.latency)
		if w, ok := f.(fakeplatform.Worker); ok {
			w.Takes(o.job)
		}
		out[i] = taken{kind: p.kinds[i], jobs: jobsOf(f, o), state: p.server.State(f.Name())}
	}
	// What the checks called must not count in a window with what is measured.
	if err := services.Sleep(ctx, 2*time.Second); err != nil {
		return nil, err
	}
	for _, k := range p.kinds {
		p.server.Limit(k)
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return s.killAlong(ctx, p, o) })
	group.Go(func() error {
		pushes, ctx := errgroup.WithContext(ctx)
		pushes.SetLimit(o.atOnce)
		for i := range out {
			pushes.Go(func() error { return s.measure(ctx, p, i, &out[i], o) })
		}
		return pushes.Wait()
	})
	return out, group.Wait()
}

// measure has everybody synced to the platform with the number at.
func (s *service) measure(ctx context.Context, p *platforms, at int, t *taken, o options) error {
	if err := s.syncAll(ctx, t, o); err != nil {
		return fmt.Errorf("%s: %w", t.kind.Name, err)
	}
	t.count(p, at, o)
	return nil
}

// connect makes a connection to a fake.
func (s *service) connect(ctx context.Context, f fakeplatform.Platform, base string) error {
	cfg := f.Config()
	settings, credentials := map[string]any{}, map[string]any{}
	if err := errors.Join(json.Unmarshal(cfg.Settings, &settings), json.Unmarshal(cfg.Credentials, &credentials)); err != nil {
		return fmt.Errorf("decode the configuration of the fake: %w", err)
	}
	settings["baseUrl"] = base
	return s.client.Ask(ctx, http.MethodPost, "/v1/connections",
		map[string]any{"platform": f.Name(), "credentials": credentials, "settings": settings}, nil)
}

// syncAll has all users synced to a platform and takes the time.
func (s *service) syncAll(ctx context.Context, t *taken, o options) error {
	var accepted struct {
		SyncID string `json:"sync_id"`
	}
	t.began = time.Now()
	if err := s.client.Ask(ctx, http.MethodPost, "/api/marketing/sync-users", map[string]any{"platform": t.kind.Name, "sync_type": "all"}, &accepted); err != nil {
		return err
	}
	err := services.Poll(ctx, lookEvery, func() (bool, error) { return s.ended(ctx, accepted.SyncID, o.users) })
	t.time = time.Since(t.began)
	if err != nil {
		return fmt.Errorf("wait for the end of the bulk: %w", err)
	}
	fmt.Fprintf(os.Stderr, "%s: done after %.1f s\n", t.kind.Name, t.time.Seconds())
	return nil
}

// lookEvery is how often the service is asked how far a bulk is.
const lookEvery = 250 * time.Millisecond

// ended reports whether a bulk is done. While the service is down it is not.
func (s *service) ended(ctx context.Context, id string, users int) (bool, error) {
	answer, err := s.client.Do(ctx, system.Call{Method: http.MethodGet, Path: "/v1/requests/" + id})
	if err != nil || answer.Status >= http.StatusInternalServerError {
		return false, ctx.Err()
	}
	var report struct {
		Status   string
		Progress struct{ Total, Done, Errors int }
	}
	if err := json.Unmarshal(answer.Body, &report); err != nil || answer.Status != http.StatusOK {
		return false, fmt.Errorf("answered with %d %s", answer.Status, answer.Body)
	}
	switch report.Status {
	case "succeeded":
		if report.Progress.Done != users {
			return false, fmt.Errorf("it ended with %+v of %d", report.Progress, users)
		}
		return true, nil
	case "failed", "partially_succeeded":
		return false, fmt.Errorf("it ended %s: %+v", report.Status, report.Progress)
	}
	return false, nil
}

// count reads at the fake what it took, and who has arrived.
func (t *taken) count(p *platforms, at int, o options) {
	before := t.state
	t.state = p.server.State(t.kind.Name)
	t.calls, t.again = t.state.Calls-before.Calls, p.server.WrittenAgain(t.kind.Name)
	for i := range o.users {
		if _, there := p.fakes[at].People().Get(address(i)); !there {
			t.missing++
		}
	}
}

// killAlong kills the service at even parts of the way, and starts it again.
func (s *service) killAlong(ctx context.Context, p *platforms, o options) error {
	for killed := range o.kills {
		goal := o.users * len(p.fakes) * (killed + 1) / (o.kills + 1)
		err := services.Poll(ctx, lookEvery, func() (bool, error) {
			arrived := 0
			for _, f := range p.fakes {
				arrived += f.People().Len()
			}
			return arrived >= goal, nil
		})
		if err != nil {
			return fmt.Errorf("wait to kill the service: %w", err)
		}
		s.kill()
		if err := s.start(ctx); err != nil {
			return err
		}
	}
	return nil
}
