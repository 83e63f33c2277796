// Package fakeplatform is what the fakes of all platforms have in common: the people
// they hold, and a server with faults that can be injected through a control port.
// Each fake behaves as its platform was recorded to behave, and stands beside its
// connector.
package fakeplatform

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"strings"
	"sync"
	"time"

	"usersync/internal/connector"
)

// Platform is the fake of one platform.
type Platform interface {
	// Name returns the connector's name.
	Name() string
	// Config is a connection that the fake takes, except for the setting baseUrl.
	Config() connector.Config
	// ServeHTTP answers like the platform, below the fake's base URL.
	ServeHTTP(w http.ResponseWriter, r *http.Request)
	// Refuse answers as the platform does when it refuses a call with this status. It
	// sends the platform's body and headers, except for Retry-After.
	Refuse(w http.ResponseWriter, status int)
	// People are those it holds.
	People() *People
}

// Holder is a fake of a platform that takes a push and works on it later. Its jobs are
// done before anybody asks for them, unless they are held.
type Holder interface {
	// Hold keeps jobs from being done until it is called with false.
	Hold(held bool)
}

// Server serves fakes, each below /name, and their controls below /_control/name.
type Server struct {
	mu    sync.Mutex
	fakes map[string]*fake
}

// fake is one platform, with its faults and what it has counted.
type fake struct {
	Platform
	faults []Fault
	counts counts
	state  State
}

// State is what a fake counts, as GET /_control/name shows it.
type State struct {
	Calls   int            `json:"calls"`
	ByRoute map[string]int `json:"byRoute"` // "PUT /3.0/lists/…": ids are cut to …
	AtOnce  int            `json:"atOnce"`
	// ByLane counts the calls of parts of the API that have limits of their own, see
	// Server.Limit.
	ByLane map[string]int `json:"byLane,omitempty"`
	// MaxAtOnce is the most calls that were under way at once.
	MaxAtOnce int `json:"maxAtOnce"`
	// First is when the first call came since Server.Limit.
	First time.Time `json:"-"`
	// Over is how many calls exceeded a limit, see Server.Limit.
	Over    int           `json:"over"`
	Latency time.Duration `json:"latencyNs"`
	People  int           `json:"people"`
}

// Worker is a fake that works on jobs later.
type Worker interface {
	// Takes has every job from now on take so long.
	Takes(d time.Duration)
	// Stages is how many jobs follow each other until somebody has arrived.
	Stages() int
}

// Fault is one way to misbehave, for the next Times calls whose path contains Path. If
// Times is 0, it lasts until it is taken away. PUT /_control/name takes a list of
// faults.
type Fault struct {
	Path  string `json:"path,omitempty"`
	Times int    `json:"times,omitempty"`
	// Skip is how many such calls pass first.
	Skip int `json:"skip,omitempty"`
	// Status refuses the call, in the platform's own shape.
	Status     int    `json:"status,omitempty"`
	RetryAfter string `json:"retryAfter,omitempty"` // header of that refusal
	// Body replaces the platform's answer. Its status is Status, or 200.
	Body string `json:"body,omitempty"`
	// Huge answers with that many bytes of JSON.
	Huge int `json:"huge,omitempty"`
	// HangMS is how long the call waits before it is answered. Drop cuts the connection
	// after the work was done, so that the caller does not know that it was done.
	HangMS int  `json:"hangMs,omitempty"`
	Drop   bool `json:"drop,omitempty"`
}

// New returns a server of fakes.
func New(platforms ...Platform) *Server {
	s := &Server{fakes: map[string]*fake{}}
	for _, p := range platforms {
		s.fakes[p.Name()] = &fake{Platform: p, state: State{ByRoute: map[string]int{}, ByLane: map[string]int{}}}
	}
	return s
}

// Break injects faults into a fake and replaces those it has.
func (s *Server) Break(name string, faults ...Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fakes[name].faults = faults
}

// Slow makes every call to a fake take at least d.
func (s *Server) Slow(name string, d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fakes[name].state.Latency = d
}

// State returns what a fake has counted.
func (s *Server) State(name string) State {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.fakes[name]
	out := f.state
	out.ByRoute, out.ByLane = maps.Clone(f.state.ByRoute), maps.Clone(f.state.ByLane)
	out.People = f.People().Len()
	return out
}

// ServeHTTP serves the fakes and the control port.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	first, rest, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	if first == "_control" {
		s.control(w, r, rest)
		return
	}
	s.mu.Lock()
	f := s.fakes[first]
	s.mu.Unlock()
	if f == nil {
		http.NotFound(w, r)
		return
	}
	http.StripPrefix("/"+first, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.serve(f, w, r) })).ServeHTTP(w, r)
}

// control shows a fake's counts (GET), injects faults (PUT, a list of Fault) and
// sets its latency (POST {"latencyMs":100}).
func (s *Server) control(w http.ResponseWriter, r *http.Request, name string) {
	s.mu.Lock()
	_, known := s.fakes[name]
	s.mu.Unlock()
	if !known {
		http.NotFound(w, r)
		return
	}
	var err error
	switch r.Method {
	case http.MethodPut:
		var faults []Fault
		if err = json.NewDecoder(r.Body).Decode(&faults); err == nil {
			s.Break(name, faults...)
		}
	case http.MethodPost:
		var set struct {
			LatencyMS int `json:"latencyMs"`
		}
		if err = json.NewDecoder(r.Body).Decode(&set); err == nil {
			s.Slow(name, time.Duration(set.LatencyMS)*time.Millisecond)
		}
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(s.State(name))
}

func (s *Server) serve(f *fake, w http.ResponseWriter, r *http.Request) {
	fault, latency := s.begin(f, r, time.Now())
	defer s.end(f)
	// The server notices that a caller has gone only after the body was read.
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody))
	if err != nil {
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	select {
	case <-time.After(latency + time.Duration(fault.HangMS)*time.Millisecond):
	case <-r.Context().Done():
		return
	}
	if fault.RetryAfter != "" {
		w.Header().Set("Retry-After", fault.RetryAfter)
	}
	switch {
	case fault.Drop:
		f.ServeHTTP(discard{http.Header{}}, r)
		panic(http.ErrAbortHandler)
	case fault.Body != "":
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(max(fault.Status, http.StatusOK))
		_, _ = io.WriteString(w, fault.Body)
	case fault.Status != 0:
		f.Refuse(w, fault.Status)
	case fault.Huge > 0:
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"filler":"`+strings.Repeat("x", fault.Huge)+`"}`)
	default:
		f.ServeHTTP(w, r)
	}
}

// maxBody is the longest body of a call that is read, in bytes.
const maxBody = 64 << 20

// begin counts a call and takes the fault that is meant for it.
func (s *Server) begin(f *fake, r *http.Request, now time.Time) (fault Fault, latency time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := &f.state
	st.Calls++
	st.ByRoute[r.Method+" "+route(r.URL.Path)]++
	st.AtOnce++
	st.MaxAtOnce = max(st.MaxAtOnce, st.AtOnce)
	if st.First.IsZero() {
		st.First = now
	}
	lane, fits := f.counts.take(r.URL.Path, now)
	if lane != "" {
		st.ByLane[lane]++
	}
	if !fits {
		st.Over++
		return Fault{Status: http.StatusTooManyRequests}, st.Latency
	}
	for i := range f.faults {
		one := &f.faults[i]
		if !strings.Contains(r.URL.Path, one.Path) || one.Times < 0 {
			continue
		}
		if one.Skip > 0 {
			one.Skip--
			continue
		}
		fault = *one
		if one.Times > 0 {
			if one.Times--; one.Times == 0 {
				one.Times = -1
			}
		}
		break
	}
	return fault, st.Latency
}

func (s *Server) end(f *fake) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f.state.AtOnce--
}

// route returns a path with an ellipsis in place of everything that looks like an id.
func route(path string) string {
	parts := strings.Split(path, "/")
	for i, p := range parts {
		if strings.ContainsAny(p, "0123456789@") && p != "3.0" && len(p) > 2 {
			parts[i] = "…"
		}
	}
	return strings.Join(parts, "/")
}

// discard takes an answer that nobody will see.
type discard struct{ header http.Header }

func (d discard) Header() http.Header         { return d.header }
func (d discard) Write(b []byte) (int, error) { return len(b), nil }
func (d discard) WriteHeader(int)             {}

// WrittenAgain counts the people of a fake that were written more than once.
func (s *Server) WrittenAgain(name string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fakes[name].People().writtenAgain()
}
