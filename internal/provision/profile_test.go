package provision

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"usersync/internal/scim"
	"usersync/internal/usersync"
)

func read(t *testing.T, body string) scim.Resource {
	t.Helper()
	r, err := scim.User.Parse([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestTheAddressIsThePrimaryOneThenThatOfWorkThenTheFirstThenTheUserName(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		`{"userName":"u@acme.example.com","emails":[{"value":"a@acme.example.com"},{"value":"w@acme.example.com","type":"Work"},{"value":"p@acme.example.com","primary":true}]}`: "p@acme.example.com",
		`{"userName":"u@acme.example.com","emails":[{"value":"a@acme.example.com"},{"value":"w@acme.example.com","type":"Work"},{"value":"none","primary":true}]}`:               "w@acme.example.com",
		`{"userName":"u@acme.example.com","emails":[{"value":"A@acme.example.com"}]}`:                                                                                            "A@acme.example.com",
		`{"userName":"u@acme.example.com","emails":[{"type":"work"}]}`:                                                                                                           "u@acme.example.com",
		`{"userName":"u","emails":["none"]}`: "",
	} {
		if got := addressOf(read(t, body)).Display(); got != want {
			t.Errorf("%s: %s, want %s", body, got, want)
		}
	}
}

func TestAProfileSaysWhatTheOneBeforeDidNot(t *testing.T) {
	t.Parallel()
	const all = `{"userName":"u","name":{"givenName":"A","familyName":"B","formatted":"A B"},"title":"T","timezone":"Europe/Berlin","phoneNumbers":[{"value":"1","type":"work"},{"value":"2","type":"mobile","primary":true}],
		"addresses":[{"type":"home","locality":"Kiel","country":"FR"},{"type":"work","streetAddress":"S","locality":"Bonn","region":"R","postalCode":"P","country":"Germany"}],
		"` + scim.EnterpriseUser + `":{"department":"D","organization":"O"}}`
	for _, test := range []struct{ before, after, want string }{
		{`{"userName":"u"}`, all, `{"country":"DE","firstName":"A","lastName":"B","name":"A B","jobTitle":"T","attributes":{"address":"S","cellPhone":"2","city":"Bonn","companyName":"O","department":"D","phoneNumber":"2","postalCode":"P","region":"R","timeZone":"Europe/Berlin","workPhone":"1"}}`},
		{all, all, `{}`},
		{all, strings.Replace(all, `"title":"T"`, `"title":"X"`, 1), `{"jobTitle":"X"}`},
		{all, `{"userName":"u","displayName":"C","name":{"givenName":"A"}}`, `{"name":"C","attributes":{"address":null,"cellPhone":null,"city":null,"companyName":null,"department":null,"phoneNumber":null,"postalCode":null,"region":null,"timeZone":null,"workPhone":null},"cleared":["jobTitle","lastName"]}`},
		{`{"userName":"u"}`, `{"userName":"u","addresses":[{"country":"Nowhere"}]}`, `{}`},
	} {
		in := profileOf(read(t, test.after)).since(profileOf(read(t, test.before)))
		got, err := json.Marshal(in)
		if err != nil || string(got) != test.want || saysNothing(in) != (test.want == `{}`) {
			t.Errorf("%v\ngot  %s\nwant %s", err, got, test.want)
		}
	}
	if err := profileOf(read(t, `{"userName":"u","nickName":"`+strings.Repeat("x", 4097)+`"}`)).check(); usersync.CodeOf(err) != usersync.CodeInvalid {
		t.Error(err)
	}
}

func TestTheListOfGroupsIsBounded(t *testing.T) {
	t.Parallel()
	var groups []Membership
	for i := range 10 {
		groups = append(groups, Membership{Name: fmt.Sprint(i) + strings.Repeat("x", 999)})
	}
	if list, _ := namesOf(groups).([]any); len(list) != 4 {
		t.Errorf("%d names are listed", len(list))
	}
	if namesOf(nil) != nil {
		t.Error("nobody's groups are a list")
	}
}
