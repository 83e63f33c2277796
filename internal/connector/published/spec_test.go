package published

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
)

// small is a description in the older form, with a default of the wrong type, as
// that of Mailchimp has one.
const small = `{"swagger":"2.0","info":{"title":"small","version":"1"},"consumes":["application/json"],
"paths":{"/3.0/lists/{list}/members/{hash}":{"put":{"parameters":[
	{"name":"list","in":"path","type":"string","required":true},{"name":"hash","in":"path","type":"string","required":true},
	{"name":"skip","in":"query","type":"boolean","default":"x"},
	{"name":"body","in":"body","required":true,"schema":{"type":"object","required":["email"],"properties":{"email":{"type":"string"}}}}],
	"responses":{"200":{"description":"ok"}}}},
"/3.0/lists/{list}/members/batch":{"put":{"parameters":[{"name":"list","in":"path","type":"string","required":true}],"responses":{"200":{"description":"ok"}}}}}}`

func TestSpecsTellFittingRequestsFromOthers(t *testing.T) {
	t.Parallel()
	doc, err := parse([]byte(small))
	if err != nil {
		t.Fatal(err)
	}
	spec := Spec{Except: []string{"GET /3.0/ping"}}
	for _, c := range []struct{ name, method, target, body, want string }{
		{"fits", "PUT", "/3.0/lists/1/members/a%40b", `{"email":"x"}`, ""},
		{"lacks what is required", "PUT", "/3.0/lists/1/members/a", `{"name":"x"}`, `property "email" is missing`},
		{"has another type", "PUT", "/3.0/lists/1/members/a", `{"email":1}`, "must be a string"},
		{"has no body", "PUT", "/3.0/lists/1/members/a", "", "required"},
		{"has a wrong parameter", "PUT", "/3.0/lists/1/members/a?skip=maybe", `{"email":"x"}`, "skip"},
		{"has a body that is not described", "PUT", "/3.0/lists/1/members/batch", `{}`, "body"},
		{"is of the path with fewer parameters", "PUT", "/3.0/lists/1/members/batch", "", ""},
		{"is not described", "GET", "/3.0/lists/1/members/a", "", "not described"},
		{"is excepted", "GET", "/3.0/ping", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := httptest.NewRequest(c.method, c.target, strings.NewReader(c.body))
			r.Header.Set("Content-Type", "application/json")
			err := spec.check([]*openapi3.T{doc}, r, r.URL.EscapedPath(), []byte(c.body))
			if (c.want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestPublishedDescriptionsJudgeRequests(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ file, method, target, good, bad string }{
		{"tsg_mc_contacts_v3.json", "PUT", "/v3/marketing/contacts", `{"contacts":[{"email":"a@b.example"}]}`, `{"contacts":"none"}`},
		{"mailchimp-marketing-subset.json", "PUT", "/3.0/lists/1/members/2", `{"email_address":"a@b.example","status_if_new":"subscribed"}`,
			`{"email_address":"a@b.example","status_if_new":"perhaps"}`},
	} {
		t.Run(c.file, func(t *testing.T) {
			t.Parallel()
			spec := Spec{Files: []string{c.file}}
			loaded := spec.Load(t)
			for body, fits := range map[string]bool{c.good: true, c.bad: false} {
				r := httptest.NewRequest(c.method, c.target, strings.NewReader(body))
				r.Header = http.Header{"Content-Type": {"application/json"}}
				if err := spec.check(loaded, r, c.target, []byte(body)); (err == nil) != fits {
					t.Errorf("%s: %v", body, err)
				}
			}
		})
	}
}
