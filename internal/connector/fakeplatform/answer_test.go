package fakeplatform_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"usersync/internal/connector/fakeplatform"
)

func TestHeldWorkIsDoneInOrderWhenItIsReleased(t *testing.T) {
	t.Parallel()
	var work fakeplatform.Work
	var done []string
	add := func(name string) { work.Add(func() { done = append(done, name) }) }
	add("at once")
	work.Hold(true)
	add("first")
	add("second")
	if !slices.Equal(done, []string{"at once"}) {
		t.Errorf("done while it was held: %v", done)
	}
	work.Hold(false)
	work.Hold(false) // does nothing twice
	add("at once again")
	if want := []string{"at once", "first", "second", "at once again"}; !slices.Equal(done, want) {
		t.Errorf("got %v, want %v", done, want)
	}
}

func TestCallsAboutNobodyAndToNoRouteAreRefused(t *testing.T) {
	t.Parallel()
	people := fakeplatform.NewPeople()
	people.Put("ada@example.com", func(*fakeplatform.Person, bool) {})
	refuse := func(w http.ResponseWriter, status int) { fakeplatform.Answer(w, status, "refused") }
	find := func(r *http.Request) (fakeplatform.Person, bool) { return people.Get(r.PathValue("email")) }
	mux := fakeplatform.Routes{
		"GET /people/{email}": fakeplatform.About(find, refuse, func(w http.ResponseWriter, _ *http.Request, one fakeplatform.Person) {
			fakeplatform.Answer(w, http.StatusOK, one.Email)
		}),
	}.Mux(refuse)
	for path, want := range map[string]string{
		"/people/ada@example.com":   `200 "ada@example.com"`,
		"/people/grace@example.com": `404 "refused"`,
		"/nothing":                  `404 "refused"`,
	} {
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		if got := w.Result().Status[:4] + w.Body.String(); got != want+"\n" || w.Header().Get("Content-Type") != "application/json" {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
}
