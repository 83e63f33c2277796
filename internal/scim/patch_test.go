package scim_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"usersync/internal/scim"
)

// patched returns the user of ann after operations, without what they leave as it is.
func patched(t *testing.T, of *scim.Type, body, operations string) (string, error) {
	t.Helper()
	list, err := scim.ParsePatch([]byte(`{"schemas":["` + scim.PatchSchema + `"],"Operations":[` + operations + `]}`))
	if err != nil {
		return "", err
	}
	before := parsed(t, of, body)
	was := text(before)
	after, err := of.Patch(before, list)
	if text(before) != was {
		t.Errorf("%s changes the resource that it was given", operations)
	}
	return text(after), err
}

func TestPatchesOfUsers(t *testing.T) {
	t.Parallel()
	const start = `{"userName":"a","emails":[{"type":"work","value":"w","primary":true},{"type":"home","value":"h"}],"name":{"givenName":"A"},"title":"T"}`
	for name, test := range map[string]struct{ operations, want string }{
		"a value is replaced":                   {`{"op":"Replace","path":"userName","value":"b"}`, `{"emails":[{"primary":true,"type":"work","value":"w"},{"type":"home","value":"h"}],"name":{"givenName":"A"},"title":"T","userName":"b"}`},
		"names and operations in any case":      {`{"OP":"ADD","PATH":"TITLE","VALUE":"B"}`, `{"emails":[{"primary":true,"type":"work","value":"w"},{"type":"home","value":"h"}],"name":{"givenName":"A"},"title":"B","userName":"a"}`},
		"active as a text, as Entra ID has it":  {`{"op":"Replace","path":"active","value":"False"}`, `{"active":false,"emails":[{"primary":true,"type":"work","value":"w"},{"type":"home","value":"h"}],"name":{"givenName":"A"},"title":"T","userName":"a"}`},
		"active without a path, as Okta has it": {`{"op":"replace","value":{"active":false}}`, `{"active":false,"emails":[{"primary":true,"type":"work","value":"w"},{"type":"home","value":"h"}],"name":{"givenName":"A"},"title":"T","userName":"a"}`},
		"dotted names without a path": {`{"op":"add","value":{"name.givenName":"B","name.familyName":"C","` + scim.EnterpriseUser + `:department":"D","emails[type eq \"work\"].value":"x"}}`,
			`{"emails":[{"primary":true,"type":"work","value":"x"},{"type":"home","value":"h"}],"name":{"familyName":"C","givenName":"B"},"title":"T","` + scim.EnterpriseUser + `":{"department":"D"},"userName":"a"}`},
		"an object without a path is merged":      {`{"op":"replace","value":{"id":"mine","schemas":[],"nothing":1,"name":{"familyName":"C"},"title":null}}`, `{"emails":[{"primary":true,"type":"work","value":"w"},{"type":"home","value":"h"}],"name":{"familyName":"C","givenName":"A"},"userName":"a"}`},
		"the address of work is replaced":         {`{"op":"Replace","path":"emails[type eq \"work\"].value","value":"x"}`, `{"emails":[{"primary":true,"type":"work","value":"x"},{"type":"home","value":"h"}],"name":{"givenName":"A"},"title":"T","userName":"a"}`},
		"what brackets do not find is made":       {`{"op":"Add","path":"phoneNumbers[type eq \"mobile\"].value","value":"1"},{"op":"Replace","path":"addresses[type eq \"work\" and primary eq \"True\"].country","value":"DE"}`, `{"addresses":[{"country":"DE","primary":true,"type":"work"}],"emails":[{"primary":true,"type":"work","value":"w"},{"type":"home","value":"h"}],"name":{"givenName":"A"},"phoneNumbers":[{"type":"mobile","value":"1"}],"title":"T","userName":"a"}`},
		"what loses its value goes":               {`{"op":"Remove","path":"emails[type eq \"work\"].value"}`, `{"emails":[{"type":"home","value":"h"}],"name":{"givenName":"A"},"title":"T","userName":"a"}`},
		"what brackets find is removed":           {`{"op":"remove","path":"emails[value eq \"h\"]"},{"op":"remove","path":"emails[value eq \"none\"]"}`, `{"emails":[{"primary":true,"type":"work","value":"w"}],"name":{"givenName":"A"},"title":"T","userName":"a"}`},
		"all values are replaced":                 {`{"op":"replace","path":"emails","value":[{"value":"z","type":"work"}]}`, `{"emails":[{"type":"work","value":"z"}],"name":{"givenName":"A"},"title":"T","userName":"a"}`},
		"a value joins, the same one does not":    {`{"op":"add","path":"emails","value":[{"value":"z","primary":true},{"value":"h","type":"home"}]}`, `{"emails":[{"primary":false,"type":"work","value":"w"},{"type":"home","value":"h"},{"primary":true,"value":"z"}],"name":{"givenName":"A"},"title":"T","userName":"a"}`},
		"another value becomes the primary one":   {`{"op":"replace","path":"emails[type eq \"home\"].primary","value":"true"}`, `{"emails":[{"primary":false,"type":"work","value":"w"},{"primary":true,"type":"home","value":"h"}],"name":{"givenName":"A"},"title":"T","userName":"a"}`},
		"a chosen value is merged":                {`{"op":"replace","path":"emails[type eq \"home\"]","value":{"value":"z","display":"Z"}}`, `{"emails":[{"primary":true,"type":"work","value":"w"},{"display":"Z","type":"home","value":"z"}],"name":{"givenName":"A"},"title":"T","userName":"a"}`},
		"a sub-attribute of all values is set":    {`{"op":"replace","path":"emails.display","value":"D"}`, `{"emails":[{"display":"D","primary":true,"type":"work","value":"w"},{"display":"D","type":"home","value":"h"}],"name":{"givenName":"A"},"title":"T","userName":"a"}`},
		"an attribute is removed":                 {`{"op":"remove","path":"title"},{"op":"remove","path":"name.givenName"},{"op":"replace","path":"emails","value":[]}`, `{"userName":"a"}`},
		"a manager is named by a bare id":         {`{"op":"Add","path":"` + scim.EnterpriseUser + `:manager","value":"boss"},{"op":"remove","path":"emails"}`, `{"name":{"givenName":"A"},"title":"T","` + scim.EnterpriseUser + `":{"manager":{"value":"boss"}},"userName":"a"}`},
		"an extension is set and removed":         {`{"op":"add","path":"` + scim.EnterpriseUser + `","value":{"department":"D"}},{"op":"remove","path":"` + strings.ToUpper(scim.EnterpriseUser) + `"},{"op":"remove","path":"emails"}`, `{"name":{"givenName":"A"},"title":"T","userName":"a"}`},
		"a password is not kept":                  {`{"op":"replace","path":"password","value":"x"},{"op":"remove","path":"emails"},{"op":"replace","value":{"password":"x"}}`, `{"name":{"givenName":"A"},"title":"T","userName":"a"}`},
		"a value in a list is taken for a single": {`{"op":"replace","path":"name.givenName","value":["B"]},{"op":"remove","path":"emails"},{"op":"replace","path":"roles[primary eq \"True\"].value","value":{"value":"R"}}`, `{"name":{"givenName":"B"},"roles":[{"primary":true,"value":"R"}],"title":"T","userName":"a"}`},
	} {
		got, err := patched(t, scim.User, start, test.operations)
		if err != nil || got != test.want {
			t.Errorf("%s: %v\ngot  %s\nwant %s", name, err, got, test.want)
		}
	}
}

func TestPatchesOfMembers(t *testing.T) {
	t.Parallel()
	const start = `{"displayName":"g","members":[{"value":"a"},{"value":"b"}]}`
	for name, test := range map[string]struct{ operations, want string }{
		"Entra ID adds":                        {`{"op":"Add","path":"members","value":[{"$ref":null,"value":"c"},{"value":"a"}]}`, `{"displayName":"g","members":[{"value":"a"},{"value":"b"},{"value":"c"}]}`},
		"Entra ID removes by a list":           {`{"op":"Remove","path":"members","value":[{"$ref":null,"value":"a"}]}`, `{"displayName":"g","members":[{"value":"b"}]}`},
		"Okta removes by brackets":             {`{"op":"remove","path":"members[value eq \"b\"]"}`, `{"displayName":"g","members":[{"value":"a"}]}`},
		"all are removed":                      {`{"op":"remove","path":"members"}`, `{"displayName":"g"}`},
		"all are replaced":                     {`{"op":"replace","path":"members","value":[{"value":"c"}]}`, `{"displayName":"g","members":[{"value":"c"}]}`},
		"Okta renames without a path":          {`{"op":"replace","value":{"id":"grp_1","displayName":"h"}}`, `{"displayName":"h","members":[{"value":"a"},{"value":"b"}]}`},
		"a list without an end for the others": {`{"op":"replace","path":"displayName","value":"h"},{"op":"add","path":"members","value":{"value":"d"}}`, `{"displayName":"h","members":[{"value":"a"},{"value":"b"},{"value":"d"}]}`},
	} {
		got, err := patched(t, scim.Group, start, test.operations)
		if err != nil || got != test.want {
			t.Errorf("%s: %v\ngot  %s\nwant %s", name, err, got, test.want)
		}
	}
}

// manyMembers are members of an object.
func manyMembers(n int) string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf(`"m%d":1`, i)
	}
	return strings.Join(list, ",")
}

// A PATCH is applied within a transaction, so even the longest one must be over soon.
func TestTheLongestPatchIsOverSoon(t *testing.T) {
	t.Parallel()
	path := `emails[type eq \"` + strings.Repeat("x", 230) + `\"].value`
	one := `{"op":"replace","value":{"` + path + `":""}}`
	began := time.Now()
	if _, err := patched(t, scim.User, ann, strings.Repeat(one+",", 499)+one); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
	t.Logf("it took %v", time.Since(began))
}

func TestPatchesThatCannotBeAreRefused(t *testing.T) {
	t.Parallel()
	for operations, want := range map[string]string{
		``: "invalidSyntax", `{}`: "invalidSyntax", `7`: "invalidSyntax", `{"op":"move","path":"title"}`: "invalidSyntax", `{"op":"add","path":"` + strings.Repeat("x", 257) + `"}`: "invalidSyntax",
		`{"op":"add","value":{` + manyMembers(1000) + `}}`: "invalidSyntax",
		`{"op":"remove"}`: "noTarget", `{"op":"replace","value":"x"}`: "invalidValue", `{"op":"replace","path":"nothing","value":"x"}`: "invalidPath",
		`{"op":"replace","path":"name.nothing","value":"x"}`: "invalidPath", `{"op":"replace","path":"emails[","value":"x"}`: "invalidPath",
		`{"op":"replace","path":"title[value eq \"x\"]","value":"x"}`: "invalidPath", `{"op":"replace","path":"emails[nothing eq \"x\"].value","value":"x"}`: "invalidPath",
		`{"op":"replace","path":"id","value":"x"}`: "mutability", `{"op":"add","path":"groups","value":[{"value":"x"}]}`: "mutability", `{"op":"remove","path":"meta"}`: "mutability",
		`{"op":"replace","path":"active","value":"perhaps"}`: "invalidValue", `{"op":"remove","path":"userName"}`: "invalidValue", `{"op":"replace","path":"userName","value":""}`: "invalidValue",
		`{"op":"replace","path":"emails[type co \"x\"].value","value":"x"}`: "noTarget", `{"op":"replace","path":"name","value":["a","b"]}`: "invalidValue",
		`{"op":"replace","path":"` + scim.EnterpriseUser + `","value":"x"}`: "invalidValue", `{"op":"replace","path":"name.givenName","value":{"x":"y"}}`: "invalidValue",
		`{"op":"add","path":"emails","value":[` + strings.Repeat(`{"value":"x"},`, 100) + `{"value":"x"}]}`: "tooMany",
	} {
		if got, err := patched(t, scim.User, `{"userName":"a","emails":[{"value":"w"}]}`, operations); faultOf(err) != want {
			t.Errorf("%.80s: %s %v, want %s", operations, got, err, want)
		}
	}
	if _, err := scim.ParsePatch([]byte(`{"Operations":[` + strings.Repeat(`{"op":"remove","path":"title"},`, 1000) + `{"op":"remove","path":"title"}]}`)); faultOf(err) != "invalidSyntax" {
		t.Error(err)
	}
}
