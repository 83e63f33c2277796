// Package published compares what connectors send and read with what platforms publish:
// descriptions of their APIs, and live traffic that was recorded.
package published

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi2"
	"github.com/getkin/kin-openapi/openapi2conv"
	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
)

// Spec names a platform's own description of its API, in OpenAPI 3 or Swagger 2 as
// JSON. It judges what we send, and not what platforms answer, because their answers
// break their descriptions here and there.
//
// The files are read from SPECS_DIR. If that is not set, they are read from
// shared/specs beside the repository. They belong to the platforms and are not part of
// the repository. Without them nothing is validated, and a test says so.
type Spec struct {
	// Files that together describe the API.
	Files []string
	// Prefix is what a call's path begins with in the description, such as /v3, if the
	// address of the API includes it.
	Prefix string
	// Except are the routes that a connector uses and the files do not describe, such as
	// "GET /3.0/ping".
	Except []string
}

// Validate compares every call below /name with a description before next answers it.
// If the call does not fit, it fails the test, and next answers all the same. Without
// the files it judges nothing, and the conformance suite says so.
func (s Spec) Validate(t testing.TB, name string) func(next http.Handler) http.Handler {
	t.Helper()
	if !s.available() {
		return func(next http.Handler) http.Handler { return next }
	}
	docs := s.Load(t)
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				return // the caller has gone
			}
			r.Body = io.NopCloser(bytes.NewReader(body))
			if path, ok := strings.CutPrefix(r.URL.EscapedPath(), "/"+name); ok {
				if err := s.check(docs, r, s.Prefix+path, body); err != nil {
					t.Errorf("%s %s does not fit the description: %v", r.Method, s.Prefix+path, err)
				}
			}
			next.ServeHTTP(w, r)
		})
	}
}

// specDir is where the descriptions are, seen from the directory of the test.
func specDir() string {
	if dir := os.Getenv("SPECS_DIR"); dir != "" {
		return dir
	}
	dir, err := os.Getwd()
	for err == nil && dir != filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return filepath.Join(dir, "..", "shared", "specs")
		}
		dir = filepath.Dir(dir)
	}
	return ""
}

// available reports whether there are files, and they are at hand.
func (s Spec) available() bool {
	for _, file := range s.Files {
		if _, err := os.Stat(filepath.Join(specDir(), file)); err != nil {
			return false
		}
	}
	return len(s.Files) > 0
}

// Load reads the files, each once for all tests. It skips the test if they are
// missing.
func (s Spec) Load(t testing.TB) []*openapi3.T {
	t.Helper()
	if !s.available() {
		t.Skipf("NOT VALIDATED: %v is not at hand; set SPECS_DIR to where it is", s.Files)
	}
	var docs []*openapi3.T
	for _, file := range s.Files {
		doc, err := read(filepath.Join(specDir(), file))
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		docs = append(docs, doc)
	}
	return docs
}

var loaded sync.Map // by path: func() (*openapi3.T, error)

func read(path string) (*openapi3.T, error) {
	once, _ := loaded.LoadOrStore(path, sync.OnceValues(func() (*openapi3.T, error) {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		return parse(text)
	}))
	return once.(func() (*openapi3.T, error))()
}

// parse takes descriptions as they are. Mailchimp's is not quite valid, but one
// default of the wrong type spoils no request.
func parse(text []byte) (*openapi3.T, error) {
	var version struct {
		Swagger string `json:"swagger"`
	}
	if err := json.Unmarshal(text, &version); err != nil {
		return nil, err
	}
	if version.Swagger == "" {
		return openapi3.NewLoader().LoadFromData(text)
	}
	var old openapi2.T
	if err := json.Unmarshal(text, &old); err != nil {
		return nil, err
	}
	return openapi2conv.ToV3(&old)
}

// check compares one call with the descriptions.
func (s Spec) check(docs []*openapi3.T, r *http.Request, path string, body []byte) error {
	if slices.ContainsFunc(s.Except, func(route string) bool { return fits(route, r.Method+" "+path) }) {
		return nil
	}
	route := find(docs, r.Method, path)
	if route == nil {
		return errors.New("it is not described; name it in Spec.Except if that is right")
	}
	return validate(route, r, path, body)
}

// find returns the operation that a call is meant for, or nil for none. If two
// operations fit, it is the one with fewer parameters.
func find(docs []*openapi3.T, method, path string) (best *routers.Route) {
	for _, doc := range docs {
		for template, item := range doc.Paths.Map() {
			operation := item.GetOperation(method)
			if operation == nil || !fits(template, path) || best != nil && strings.Count(best.Path, "{") <= strings.Count(template, "{") {
				continue
			}
			best = &routers.Route{Spec: doc, Path: template, PathItem: item, Method: method, Operation: operation}
		}
	}
	return best
}

func validate(route *routers.Route, r *http.Request, path string, body []byte) error {
	copied := r.Clone(r.Context())
	copied.Body = io.NopCloser(bytes.NewReader(body))
	if len(body) == 0 {
		copied.Body, copied.ContentLength = http.NoBody, 0
	}
	return openapi3filter.ValidateRequest(r.Context(), &openapi3filter.RequestValidationInput{
		Request: copied, PathParams: values(route.Path, path), Route: route,
		Options: &openapi3filter.Options{
			MultiError: true, SkipSettingDefaults: true, RejectWhenRequestBodyNotSpecified: true,
			AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, // the fakes check it
		},
	})
}

// fits reports whether a path is of a template.
func fits(template, path string) bool {
	t, p := strings.Split(template, "/"), strings.Split(path, "/")
	if len(t) != len(p) {
		return false
	}
	for i := range t {
		if t[i] != p[i] && (!strings.HasPrefix(t[i], "{") || p[i] == "") {
			return false
		}
	}
	return true
}

// values returns what stands in the place of a template's parameters.
func values(template, path string) map[string]string {
	out := map[string]string{}
	p := strings.Split(path, "/")
	for i, part := range strings.Split(template, "/") {
		if name, ok := strings.CutPrefix(part, "{"); ok {
			value, err := url.PathUnescape(p[i])
			if err != nil {
				value = p[i]
			}
			out[strings.TrimSuffix(name, "}")] = value
		}
	}
	return out
}
