// Package huntertest is a fake of Hunter: a server that answers like its API v2.
package huntertest

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"
)

// Key is what the fake takes.
const Key = "0123456789abcdef0123456789abcdef01234567"

// Fake answers like Hunter's API v2: its paths, statuses, errors and fields.
type Fake struct {
	server *httptest.Server

	mu     sync.Mutex
	people map[string][]map[string]any // by domain
	calls  map[string]int              // by domain
	fault  Fault
}

// Fault is how the fake misbehaves; the zero Fault is not at all.
type Fault struct {
	Status int           // answers every call
	Hang   chan struct{} // calls wait until it is closed
	Body   string        // stands in the place of the answer
}

// Start runs a fake until the test ends.
func Start(t testing.TB) *Fake {
	t.Helper()
	f := &Fake{people: map[string][]map[string]any{}, calls: map[string]int{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v2/domain-search", f.search)
	f.server = httptest.NewServer(mux)
	t.Cleanup(f.server.Close)
	return f
}

// URL is what the settings of a source name.
func (f *Fake) URL() string { return f.server.URL + "/v2" }

// Add makes a person known. One whose position is "gone" has an address that
// does not work any more.
func (f *Fake) Add(domain, email, first, last, position, seen string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	status := "valid"
	if position == "gone" {
		status = "invalid"
	}
	f.people[domain] = append(f.people[domain], map[string]any{
		"value": email, "type": "personal", "confidence": 92, "first_name": first, "last_name": last, "position": position,
		"seniority": "senior", "department": "it", "linkedin": nil, "twitter": nil, "phone_number": nil,
		"sources":      []map[string]any{{"domain": domain, "uri": "http://" + domain, "extracted_on": "2026-01-01", "last_seen_on": seen, "still_on_page": true}},
		"verification": map[string]any{"date": "2026-01-01", "status": status},
	})
}

// Break has the fake misbehave from now on.
func (f *Fake) Break(fault Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fault = fault
}

// Asked returns how often a domain was asked for.
func (f *Fake) Asked(domain string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls[domain]
}

func (f *Fake) search(w http.ResponseWriter, r *http.Request) {
	domain := r.URL.Query().Get("domain")
	f.mu.Lock()
	f.calls[domain]++
	fault, people := f.fault, f.people[domain]
	f.mu.Unlock()
	if fault.Hang != nil {
		select {
		case <-fault.Hang:
		case <-r.Context().Done():
		}
	}
	limit, err := strconv.Atoi(r.URL.Query().Get("limit"))
	switch {
	case r.Header.Get("X-Api-Key") != Key:
		refuse(w, http.StatusUnauthorized, "authentication_failed", "No user found for the API key supplied")
	case fault.Status != 0:
		refuse(w, fault.Status, "too_many_requests", "You have exceeded your limit")
	case domain == "":
		refuse(w, http.StatusBadRequest, "wrong_params", "You are missing the domain parameter")
	case err != nil || limit < 1 || limit > 100 || r.URL.Query().Get("type") != "personal":
		refuse(w, http.StatusBadRequest, "wrong_params", "The limit or the type is invalid")
	case fault.Body != "":
		_, _ = w.Write([]byte(fault.Body))
	default:
		write(w, http.StatusOK, map[string]any{
			"data": map[string]any{"domain": domain, "disposable": false, "webmail": false, "accept_all": false, "pattern": "{first}",
				"organization": "Acme", "country": "US", "emails": append([]map[string]any{}, people[:min(limit, len(people))]...)},
			"meta": map[string]any{"results": len(people), "limit": limit, "offset": 0},
		})
	}
}

func refuse(w http.ResponseWriter, status int, id, details string) {
	write(w, status, map[string]any{"errors": []map[string]any{{"id": id, "code": status, "details": details}}})
}

func write(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}
