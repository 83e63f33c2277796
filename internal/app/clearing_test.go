package app_test

import (
	"encoding/json"
	"net/http"
	"testing"

	"usersync/internal/app/apptest"
	"usersync/internal/connector/fakeplatform"
	"usersync/internal/request"
	"usersync/internal/tenant"
)

// A number keeps its digits from the call to the platform. null and a text without
// characters clear what the platform holds. What is absent says nothing.
func TestNumbersKeepTheirDigitsAndClearedValuesAreClearedAtThePlatform(t *testing.T) {
	t.Parallel()
	each(t, 10, func(t *testing.T, n customer) {
		p := n.serve(t, "http")
		p.connection.Settings = json.RawMessage(replaceSetting(t, p.connection.Settings, "attributes", []string{"plan", "order", "seats"}))
		p.connection.Credentials = ownCredentials(t, p.fake)
		p.connection = n.create(t, p.connection)
		_, secret, err := tenant.CreateKey(t.Context(), n.app.Store, "test", n.org.ID, tenant.Key{Name: "sync", Scopes: []tenant.Scope{tenant.ScopeSync}})
		must(t, err)
		client, header := n.app.Client(t), http.Header{"X-Api-Key": {secret.Reveal()}, "Content-Type": {"application/json"}}
		sync := func(user string) fakeplatform.Person {
			t.Helper()
			var accepted struct {
				RequestID string `json:"requestId"`
			}
			answer := client.Do(t, apptest.Call{Method: http.MethodPost, Path: "/v1/user-sync", Header: header,
				Body: []byte(`{"user":{"email":"ada@acme.example.com","country":"GB",` + user + `}}`)})
			must(t, json.Unmarshal(answer.Body, &accepted))
			n.until(t, accepted.RequestID, request.Succeeded)
			one, _ := p.fake.People().Get("ada@acme.example.com")
			return one
		}
		one := sync(`"firstName":"Ada","jobTitle":"Analyst","attributes":{"order":9007199254740993,"plan":"pro","seats":1.50}`)
		attributes, _ := one.Fields["attributes"].(map[string]any)
		if attributes["order"] != json.Number("9007199254740993") || attributes["seats"] != json.Number("1.50") {
			t.Errorf("arrived as %v", attributes)
		}
		one = sync(`"firstName":null,"attributes":{"plan":"","order":null}`)
		attributes, _ = one.Fields["attributes"].(map[string]any)
		name, named := one.Fields["firstName"]
		plan, planned := attributes["plan"]
		if !named || name != nil || !planned || plan != nil || one.Fields["jobTitle"] != "Analyst" || attributes["seats"] != json.Number("1.50") {
			t.Errorf("after clearing, the platform has %v", one.Fields)
		}
		if one = sync(`"firstName":"Augusta"`); one.Fields["firstName"] != "Augusta" {
			t.Errorf("set again, the platform has %v", one.Fields)
		}
	})
}

// replaceSetting returns settings with another value of one of them.
func replaceSetting(t *testing.T, settings json.RawMessage, name string, value any) string {
	t.Helper()
	values := map[string]any{}
	must(t, json.Unmarshal(settings, &values))
	values[name] = value
	text, err := json.Marshal(values)
	must(t, err)
	return string(text)
}
