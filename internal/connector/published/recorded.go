package published

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"usersync/internal/outbound"
)

// Exchange is one call, with its answer, that was recorded of a platform's live
// traffic.
type Exchange struct {
	Method string
	Path   string
	Answer outbound.Response
}

// Recorded returns the exchanges in a file below recorded, which stands beside the
// descriptions of Spec. It skips the test if the file is missing.
func Recorded(t testing.TB, file string) []Exchange {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(specDir(), "recorded", file))
	if err != nil {
		t.Skipf("NOT REPLAYED: recorded/%s is not at hand; set SPECS_DIR to the directory above it", file)
	}
	var raw []struct {
		Request struct {
			Method string `json:"method"`
			Path   string `json:"path"`
		} `json:"request"`
		Response struct {
			Status  int               `json:"status"`
			Headers map[string]string `json:"headers"`
			Body    json.RawMessage   `json:"body"`
		} `json:"response"`
	}
	if err := json.Unmarshal(text, &raw); err != nil {
		t.Fatalf("recorded/%s: %v", file, err)
	}
	out := make([]Exchange, len(raw))
	for i, e := range raw {
		header := http.Header{}
		for name, value := range e.Response.Headers {
			header.Set(name, value)
		}
		body := []byte(e.Response.Body)
		if string(body) == `""` {
			body = nil // no body
		}
		out[i] = Exchange{e.Request.Method, e.Request.Path, outbound.Response{Status: e.Response.Status, Header: header, Body: body}}
	}
	return out
}

// Replay answers every call with a recorded answer.
func (e Exchange) Replay(w http.ResponseWriter, _ *http.Request) {
	for _, name := range []string{"Content-Type", "Link", "X-Request-Id", "X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"} {
		if value := e.Answer.Header.Get(name); value != "" {
			w.Header().Set(name, value)
		}
	}
	w.WriteHeader(e.Answer.Status)
	_, _ = w.Write(e.Answer.Body)
}
