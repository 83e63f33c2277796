package scim_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"usersync/internal/scim"
	"usersync/internal/usersync"
)

// ann is a user as Entra ID sends one.
const ann = `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User","` + scim.EnterpriseUser + `"],"externalId":"Ab-1","userName":"Ann@Acme.example.com",
	"active":"True","name":{"givenName":"Ann","familyName":"Lee"},"title":"Editor","password":"secret","roles":[],"groups":[{"value":"x"}],"id":"mine","unknown":1,
	"emails":[{"primary":true,"type":"work","value":"ann@acme.example.com"},{"type":"home","value":"ann@home.example.com"}],
	"` + scim.EnterpriseUser + `":{"department":"Sales","manager":"boss"}}`

func parsed(t *testing.T, of *scim.Type, body string) scim.Resource {
	t.Helper()
	r, err := of.Parse([]byte(body))
	if err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	return r
}

func text(v any) string {
	out, _ := json.Marshal(v)
	return string(out)
}

// faultOf returns the scimType of an error, "" for nil.
func faultOf(err error) string {
	if err == nil {
		return ""
	}
	if fault, ok := errors.AsType[scim.Fault](err); ok && usersync.CodeOf(err) == usersync.CodeInvalid {
		return string(fault)
	}
	return "no fault: " + err.Error()
}

func TestABodyIsReadInAnyLetterCaseAndWithoutWhatClientsMayNotSet(t *testing.T) {
	t.Parallel()
	want := `{"active":true,"emails":[{"primary":true,"type":"work","value":"ann@acme.example.com"},{"type":"home","value":"ann@home.example.com"}],` +
		`"externalId":"Ab-1","name":{"familyName":"Lee","givenName":"Ann"},"title":"Editor",` +
		`"` + scim.EnterpriseUser + `":{"department":"Sales","manager":{"value":"boss"}},"userName":"Ann@Acme.example.com"}`
	if got := text(parsed(t, scim.User, ann)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	for body, want := range map[string]string{
		`{"USERNAME":"a","NAME":{"GivenName":"A"},"Emails":{"Value":"a@b.example"}}`:                                          `{"emails":[{"value":"a@b.example"}],"name":{"givenName":"A"},"userName":"a"}`,
		`{"urn:ietf:params:scim:schemas:core:2.0:User:userName":"a","` + scim.EnterpriseUser + `:department":"B"}`:            `{"` + scim.EnterpriseUser + `":{"department":"B"},"userName":"a"}`,
		`{"userName":"a","emails":[{"primary":true,"value":"x"},{"primary":true,"value":"y"}],"title":null,"active":"false"}`: `{"active":false,"emails":[{"primary":true,"value":"x"},{"primary":false,"value":"y"}],"userName":"a"}`,
		`{"userName":7,"roles":["Admin"]}`: `{"roles":[{"value":"Admin"}],"userName":"7"}`,
	} {
		if got := text(parsed(t, scim.User, body)); got != want {
			t.Errorf("%s\ngot  %s\nwant %s", body, got, want)
		}
	}
}

func TestABodyThatIsNoResourceIsRefused(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		``: "invalidSyntax", `[]`: "invalidSyntax", `null`: "invalidSyntax", `{}{}`: "invalidSyntax", `{"userName":"a","USERNAME":"b"}`: "invalidSyntax",
		`{}`: "invalidValue", `{"userName":" "}`: "invalidValue", `{"userName":{"x":1}}`: "invalidValue", `{"userName":"a","active":"perhaps"}`: "invalidValue",
		`{"userName":"a","name":["x"]}`: "invalidValue", `{"userName":"a\u0000"}`: "invalidValue", `{"userName":"` + strings.Repeat("a", 513) + `"}`: "invalidValue",
		`{"userName":"a","emails":[` + strings.Repeat(`{"value":"x"},`, 100) + `{"value":"x"}]}`:                          "tooMany",
		`{"userName":"a","title":"` + strings.Repeat("x", 33<<10) + `"}`:                                                  "invalidValue",
		`{"userName":"a","title":"` + strings.Repeat("x", 32<<10) + `","nickName":"` + strings.Repeat("x", 32<<10) + `"}`: "invalidValue",
	} {
		if _, err := scim.User.Parse([]byte(body)); faultOf(err) != want {
			t.Errorf("%.60s: %v, want %s", body, err, want)
		}
	}
	many := strings.Repeat(`{"value":"x"},`, scim.MaxMembers)
	if _, err := scim.Group.Parse([]byte(`{"displayName":"g","members":[` + many + `{"value":"y"}]}`)); faultOf(err) != "tooMany" {
		t.Error(err)
	}
}

func TestFiltersCompare(t *testing.T) {
	t.Parallel()
	r := parsed(t, scim.User, ann)
	r["id"] = "user_1"
	r["meta"] = map[string]any{"lastModified": "2026-03-04T10:30:00.000Z"}
	for filter, want := range map[string]bool{
		`userName eq "ann@acme.example.com"`: true, `USERNAME EQ "ANN@ACME.EXAMPLE.COM"`: true, `userName eq "ann"`: false, `userName ne "ann"`: true,
		`externalId eq "Ab-1"`: true, `externalId eq "ab-1"`: false, `id eq "user_1"`: true, `id eq "USER_1"`: false,
		`urn:ietf:params:scim:schemas:core:2.0:User:userName sw "ann"`: true, `userName ew ".com" and userName co "acme"`: true,
		`active eq true`: true, `active eq "True"`: true, `active eq false`: false, `active ne true`: false,
		`title pr`: true, `nickName pr`: false, `not (nickName pr)`: true, `nickName eq null`: true, `title ne null`: true,
		`emails.value eq "ANN@home.example.com"`: true, `emails eq "ann@home.example.com"`: true, `emails[type eq "work"]`: true, `emails[type eq "other"]`: false,
		`emails[type eq "work"].value eq "ann@acme.example.com"`: true, `emails[type eq "home"].value eq "ann@acme.example.com"`: false,
		`title eq "editor" and emails[type eq "work"].value eq "ann@acme.example.com" and active eq true`: true, `title eq "emails[type eq \"work\"].value eq \"x\""`: false,
		`emails[type eq "work"].primary eq true or emails[type eq "x"].value eq "y"`: true,
		`emails[type eq "work" and primary eq "True"]`:                               true, `emails[not (type eq "work")]`: true, `emails[type eq "work" or type eq "x"]`: true,
		`name.givenName eq "ann" and (title eq "x" or title eq "EDITOR")`: true, `name pr`: true, `addresses pr`: false,
		scim.EnterpriseUser + `:department eq "sales"`: true, scim.EnterpriseUser + `:manager eq "boss"`: true, scim.EnterpriseUser + `:manager.value eq "x"`: false,
		`meta.lastModified gt "2026-03-04T12:00:00+02:00"`: true, `meta.lastModified lt "2026-03-04T10:30:00Z"`: false, `meta.lastModified ge "2026-03-04T10:30:00Z"`: true,
		`title gt "a" and title le "editor" and title ge "editor"`: true, `title eq 7`: false, `title eq "a\"b"`: false, `active gt true`: false,
	} {
		f, err := scim.User.ParseFilter(filter)
		if err != nil {
			t.Errorf("%s: %v", filter, err)
			continue
		}
		if got := f.Matches(r); got != want {
			t.Errorf("%s: %v", filter, got)
		}
	}
}

func TestFiltersThatCannotBeAreRefused(t *testing.T) {
	t.Parallel()
	for _, filter := range []string{
		`userName`, `userName eq`, `userName eq 'x'`, `userName == "x"`, `nothing eq "x"`, `name.nothing eq "x"`, `emails[nothing eq "x"]`, `userName[value eq "x"]`,
		`urn:nothing:x eq "y"`, `emails[type eq "work"`, `)`, strings.Repeat("(", 11) + `title pr` + strings.Repeat(")", 11), `title eq "` + strings.Repeat("x", 1024) + `"`,
	} {
		if _, err := scim.User.ParseFilter(filter); faultOf(err) != "invalidFilter" || strings.Contains(err.Error(), "nothing") {
			t.Errorf("%.40s: %v", filter, err)
		}
	}
	for filter, ok := range map[string]bool{
		`members eq "u"`: true, `members.value eq "u"`: true, `members[value eq "u"]`: true, `id eq "g" and members eq "u"`: true,
		`members pr`: false, `members co "u"`: false, `members.type eq "User"`: false, `members[value sw "u"]`: false, `members[type eq "User"]`: false,
	} {
		if _, err := scim.Group.ParseFilter(filter); (err == nil) != ok {
			t.Errorf("%s: %v", filter, err)
		}
	}
}

func TestFiltersTellWhatToLookUp(t *testing.T) {
	t.Parallel()
	for filter, want := range map[string]string{
		`userName eq "a"`: "[{userName a}]", `externalId eq "x" and active eq true`: "[{externalId x}]", `emails[type eq "work"].value eq "a\"b"`: `[{emails a"b}]`,
		`emails.value eq "a"`: "[{emails a}]", `userName eq "a" or userName eq "b"`: "[]", `not (userName eq "a")`: "[]", `userName co "a"`: "[]", `emails.type eq "work"`: "[]",
		scim.EnterpriseUser + `:department eq "x"`: "[]", `id eq "u" and ` + scim.EnterpriseUser + `:manager eq "m"`: "[{id u}]",
	} {
		f, err := scim.User.ParseFilter(filter)
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(f.Terms()); got != want {
			t.Errorf("%s: %s, want %s", filter, got, want)
		}
	}
	f, err := scim.Group.ParseFilter(`members eq "a" or not (members[value eq "b"])`)
	if err != nil || fmt.Sprint(f.Named("members")) != "[a b]" || f.Named("displayName") != nil {
		t.Errorf("%v %v", f, err)
	}
}

func TestAttributesAreChosen(t *testing.T) {
	t.Parallel()
	r := parsed(t, scim.User, ann)
	r["id"] = "user_1"
	const both = `"schemas":["urn:ietf:params:scim:schemas:core:2.0:User","` + scim.EnterpriseUser + `"]`
	for _, test := range []struct{ only, except, want string }{
		{"userName", "", `{"id":"user_1",` + both + `,"userName":"Ann@Acme.example.com"}`},
		{"USERNAME, name.givenName,nothing", "", `{"id":"user_1","name":{"givenName":"Ann"},` + both + `,"userName":"Ann@Acme.example.com"}`},
		{"emails.value,emails.type", "", `{"emails":[{"type":"work","value":"ann@acme.example.com"},{"type":"home","value":"ann@home.example.com"}],"id":"user_1",` + both + `}`},
		{scim.EnterpriseUser + ":department", "", `{"id":"user_1",` + both + `,"` + scim.EnterpriseUser + `":{"department":"Sales"}}`},
		{scim.EnterpriseUser, "", `{"id":"user_1",` + both + `,"` + scim.EnterpriseUser + `":{"department":"Sales","manager":{"value":"boss"}}}`},
		{"", "emails,id,schemas,userName,active,title,externalId,name.familyName," + scim.EnterpriseUser, `{"id":"user_1","name":{"givenName":"Ann"},` + both + `}`},
	} {
		if got := text(scim.User.Show(r, scim.ParseChoice(test.only, test.except))); got != test.want {
			t.Errorf("%s without %s\ngot  %s\nwant %s", test.only, test.except, got, test.want)
		}
	}
	if c := scim.ParseChoice("", "Members"); c.Shows("members") {
		t.Error("what is left out is shown")
	}
	if c := scim.ParseChoice("displayName,members.value", ""); !c.Shows("members") || c.Shows("meta") {
		t.Error("what is chosen is not shown")
	}
}

func TestEverySchemaIsDescribed(t *testing.T) {
	t.Parallel()
	var got []string
	for _, s := range scim.Schemas() {
		got = append(got, fmt.Sprint(s["id"]))
	}
	if want := fmt.Sprint([]string{scim.User.Schema(), scim.EnterpriseUser, scim.Group.Schema()}); fmt.Sprint(got) != want {
		t.Errorf("%v", got)
	}
}
