package manage

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"

	"usersync/internal/api"
	"usersync/internal/management"
	"usersync/internal/management/followups"
	"usersync/internal/usersync"
)

// inputs are the bodies of the dialect.
var inputs = []reflect.Type{
	reflect.TypeFor[management.OrganizationInput](), reflect.TypeFor[management.OwnOrganizationInput](), reflect.TypeFor[management.KeyInput](),
	reflect.TypeFor[management.TopUpInput](), reflect.TypeFor[management.EndpointInput](), reflect.TypeFor[management.RecoverInput](),
	reflect.TypeFor[followups.Input](), reflect.TypeFor[rehearsal](), reflect.TypeFor[followups.Document](), reflect.TypeFor[rotation](), reflect.TypeFor[subject](), reflect.TypeFor[nothing](),
}

// FuzzBodies reads any text as each body of the dialect: what is taken names
// known fields only and says the same when it is read again; a refusal repeats
// no value, for values may be secrets.
func FuzzBodies(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"name":"Example Inc.","settings":{"smtp":{"host":"mail.example.com","password":"hunter2hunter2"},"rateLimit":{"rate":1.5,"burst":2}}}`,
		`{"settings":{"colleagueSources":[{"name":"hunter","apiKey":"hunter2hunter2","url":"https://10.0.0.1"}]}}`, `{"settings":{"smtp":{"password":["hunter2hunter2"]}}}`,
		`{"name":"k","scopes":["sync"],"expiresAt":"2027-01-01T00:00:00Z"}`, `{"expiresAt":"hunter2hunter2"}`, `{"amount":5,"reference":"r"}`, `{"amount":5.5}`, `{"amount":1e3}`,
		`{"url":"https://example.com","eventTypes":["*"],"signing":"v1a"}`, `{"since":"2026-11-22T10:00:00Z"}`, `{"email":"a@example.com"}`, `{"scopes":null}`, `{"URL":"x"}`,
		`{"overlapSeconds":-1}`, `null`, `[]`, `{"settings":{"rateLimit":{"rate":"hunter2hunter2"}}}`, `{"hunter2":{"a":[{}]}}`,
		`{"name":"n","trigger":{"type":"user/update"},"condition":{"not":{"field":"type","equals":"hunter2hunter2"}},"actions":[{"type":"update-user","set":{"attributes.a":1e3}}]}`,
		`{"event":{"email":"a@example.com","attributes":{"a":["hunter2hunter2"]},"timestamp":1}}`, `{"followUps":[{"name":"n"}]}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, in := range inputs {
			first, second := reflect.New(in), reflect.New(in)
			if err := api.DecodeJSON(body, first.Interface()); err != nil {
				if usersync.CodeOf(err) != usersync.CodeInvalid {
					t.Fatalf("%v: %q gave %v", in, body, err)
				}
				checkQuotesNothing(t, body, err)
				continue
			}
			if err := api.DecodeJSON(body, second.Interface()); err != nil || !reflect.DeepEqual(first.Interface(), second.Interface()) {
				t.Fatalf("%v: %q reads differently again: %v", in, body, err)
			}
			if in == reflect.TypeFor[nothing]() && strings.Contains(string(body), `"`) {
				t.Fatalf("%q is taken for nothing", body)
			}
		}
	})
}

// checkQuotesNothing fails when a refusal repeats a value of the body that holds
// the password of the seeds. Names are repeated, and may hold it.
func checkQuotesNothing(t *testing.T, body []byte, err error) {
	t.Helper()
	var v any
	if json.Unmarshal(body, &v) != nil {
		return
	}
	said := usersync.AsError(err)
	shown := said.Message
	for _, f := range said.Fields {
		shown += " " + f.Message
	}
	const password = "hunter2"
	inValue := slices.ContainsFunc(valuesOf(v), func(text string) bool { return strings.Contains(text, password) })
	if inValue && strings.Count(string(body), password) == strings.Count(strings.Join(valuesOf(v), ""), password) && strings.Contains(shown, password) {
		t.Fatalf("the refusal of %q says %s", body, shown)
	}
}

// valuesOf returns the texts in a value, names left out.
func valuesOf(v any) (texts []string) {
	switch v := v.(type) {
	case string:
		texts = append(texts, v)
	case []any:
		for _, one := range v {
			texts = append(texts, valuesOf(one)...)
		}
	case map[string]any:
		for _, one := range v {
			texts = append(texts, valuesOf(one)...)
		}
	}
	return texts
}
