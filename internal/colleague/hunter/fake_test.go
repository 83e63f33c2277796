package hunter_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"
)

// apiKey is what the fake takes.
const apiKey = "0123456789abcdef0123456789abcdef01234567"

// fake answers like Hunter's API v2: its paths, statuses, errors and fields.
type fake struct {
	*httptest.Server

	mu     sync.Mutex
	people map[string][]map[string]any // by domain
	calls  map[string]int              // by domain
	status int                         // answers every call with it, when not 0
	hang   chan struct{}               // calls wait for it, when not nil
	body   string                      // instead of JSON, when not ""
}

func newFake(t *testing.T) *fake {
	t.Helper()
	f := &fake{people: map[string][]map[string]any{}, calls: map[string]int{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v2/domain-search", f.search)
	f.Server = httptest.NewServer(mux)
	t.Cleanup(f.Close)
	return f
}

// add makes a person known.
func (f *fake) add(domain, email, first, last, position, seen string) {
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

func (f *fake) set(change func(*fake)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(f)
}

// asked returns how often a domain was asked for.
func (f *fake) asked(domain string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls[domain]
}

func (f *fake) search(w http.ResponseWriter, r *http.Request) {
	domain := r.URL.Query().Get("domain")
	f.mu.Lock()
	f.calls[domain]++
	status, hang, body, people := f.status, f.hang, f.body, f.people[domain]
	f.mu.Unlock()
	if hang != nil {
		select {
		case <-hang:
		case <-r.Context().Done():
		}
	}
	limit, err := strconv.Atoi(r.URL.Query().Get("limit"))
	switch {
	case r.Header.Get("X-Api-Key") != apiKey:
		refuse(w, http.StatusUnauthorized, "authentication_failed", "No user found for the API key supplied")
	case status != 0:
		refuse(w, status, "too_many_requests", "You have exceeded your limit")
	case domain == "":
		refuse(w, http.StatusBadRequest, "wrong_params", "You are missing the domain parameter")
	case err != nil || limit < 1 || limit > 100 || r.URL.Query().Get("type") != "personal":
		refuse(w, http.StatusBadRequest, "wrong_params", "The limit or the type is invalid")
	case body != "":
		_, _ = w.Write([]byte(body))
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
