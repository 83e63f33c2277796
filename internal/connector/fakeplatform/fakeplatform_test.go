package fakeplatform_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"usersync/internal/connector"
	"usersync/internal/connector/fakeplatform"
)

// echo is a platform that answers with the path and takes nobody.
type echo struct{ people *fakeplatform.People }

func (echo) Name() string                             { return "echo" }
func (echo) Config() connector.Config                 { return connector.Config{} }
func (e echo) People() *fakeplatform.People           { return e.people }
func (echo) Refuse(w http.ResponseWriter, status int) { http.Error(w, "refused", status) }
func (e echo) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e.people.Put(r.URL.Path, func(*fakeplatform.Person, bool) {})
	_, _ = io.WriteString(w, r.URL.Path)
}

// call makes a call and returns status and body; 0 when it broke off.
func call(t *testing.T, method, url, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, ""
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, strings.TrimSpace(string(text))
}

func TestFaultsHappenWhenTheyAreMeantTo(t *testing.T) {
	t.Parallel()
	fake := echo{fakeplatform.NewPeople()}
	server := httptest.NewServer(fakeplatform.New(fake))
	t.Cleanup(server.Close)
	base, control := server.URL+"/echo", server.URL+"/_control/echo"
	for _, c := range []struct {
		name, faults string
		want         []string // of one call after the other, to /a and then /b
	}{
		{"none", `[]`, []string{"200 /a", "200 /b"}},
		{"a refusal until it is taken away", `[{"status":503}]`, []string{"503 refused", "503 refused"}},
		{"a refusal twice", `[{"status":503,"times":2}]`, []string{"503 refused", "503 refused", "200 /a"}},
		{"a refusal after one call", `[{"status":503,"times":1,"skip":1}]`, []string{"200 /a", "503 refused", "200 /a"}},
		{"a refusal of one path", `[{"status":503,"path":"/b"}]`, []string{"200 /a", "503 refused", "200 /a"}},
		{"one after the other", `[{"status":503,"times":1},{"status":429,"times":1}]`, []string{"503 refused", "429 refused", "200 /a"}},
		{"another body", `[{"body":"{}"}]`, []string{"200 {}"}},
		{"another body with a status", `[{"body":"{}","status":400}]`, []string{"400 {}"}},
	} {
		if status, _ := call(t, http.MethodPut, control, c.faults); status != http.StatusOK {
			t.Fatalf("%s: the control answers %d", c.name, status)
		}
		for i, want := range c.want {
			status, body := call(t, http.MethodPost, base+[]string{"/a", "/b"}[i%2], "x")
			if got := strings.Join([]string{strconv.Itoa(status), body}, " "); got != want {
				t.Errorf("%s: call %d gave %d %s, want %s", c.name, i+1, status, body, want)
			}
		}
	}
	before := fake.people.Len()
	call(t, http.MethodPut, control, `[{"drop":true}]`)
	if status, _ := call(t, http.MethodPost, base+"/dropped", "x"); status != 0 || fake.people.Len() != before+1 {
		t.Errorf("dropped: %d, %d people after %d", status, fake.people.Len(), before)
	}
	if status, _ := call(t, http.MethodPut, control, `{`); status != http.StatusBadRequest {
		t.Errorf("faults that are no JSON: %d", status)
	}
	if status, _ := call(t, http.MethodGet, server.URL+"/_control/other", ""); status != http.StatusNotFound {
		t.Errorf("the control of no platform: %d", status)
	}
}
