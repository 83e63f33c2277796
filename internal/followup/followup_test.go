package followup

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"

	"usersync/internal/usersync"
)

// compile reads a condition and compiles it in a definition that is otherwise in order.
func compile(t *testing.T, condition string) (*Program, error) {
	t.Helper()
	return Parse([]byte(`{"name":"n","trigger":{"type":"user/update"},"condition":` + condition + `,"actions":[{"type":"find-colleagues"}]}`))
}

var sample = map[string]any{
	"type": "user/update", "timestamp": int64(1_700_000_000), "source": "event",
	"profile": map[string]any{
		"userId": "user_1", "email": "ann@example.com", "country": "NL", "firstName": "Ann", "lastName": "", "tags": []string{"a", "vip"},
		"attributes": map[string]any{"size": json.Number("42"), "big": json.Number("123456789012345678901234567890"), "a.b": "dotted", "zip": "0123", "born": "1990-05-01"},
	},
	"attributes": map[string]any{
		"size": "42", "price": "42.50", "yes": true, "form": "true", "text": "Hello World", "none": nil, "list": []any{"x", json.Number("7")}, "empty": []any{},
		"data": map[string]any{"size": "1e2", "when": "2026-11-22T10:00:00+01:00"}, "mail": "bob@example.com", "phone": "+31612345678",
	},
	"trigger": map[string]any{"hops": int64(2)},
}

func TestEveryOperator(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		condition string
		want      bool
	}{
		{`{"field":"profile.country","equals":"NL"}`, true},
		{`{"field":"profile.country","equals":"nl"}`, false},
		{`{"field":"attributes.size","equals":42}`, true},
		{`{"field":"attributes.size","equals":42.0}`, true},
		{`{"field":"attributes.size","equals":"42"}`, true},
		{`{"field":"attributes.size","equals":"42.0"}`, false},
		{`{"field":"attributes.data.size","equals":100}`, true},
		{`{"field":"attributes.yes","equals":true}`, true},
		{`{"field":"attributes.form","equals":true}`, true},
		{`{"field":"attributes.yes","equals":1}`, false},
		{`{"field":"attributes.zipless","equals":""}`, false},
		{`{"field":"profile.attributes.zip","equals":123}`, false},
		{`{"field":"profile.attributes.a.b","equals":"dotted"}`, true},
		{`{"field":"profile.attributes.big","equals":123456789012345678901234567890}`, true},
		{`{"field":"profile.attributes.big","equals":123456789012345678901234567891}`, false},
		{`{"field":"trigger.hops","equals":2}`, true},
		{`{"field":"profile.country","notEquals":"BE"}`, true},
		{`{"field":"profile.country","notEquals":"NL"}`, false},
		{`{"field":"attributes.missing","notEquals":"x"}`, true},
		{`{"field":"attributes.text","contains":"o W"}`, true},
		{`{"field":"attributes.text","contains":"o w"}`, false},
		{`{"field":"profile.tags","contains":"vip"}`, true},
		{`{"field":"profile.tags","contains":"vi"}`, false},
		{`{"field":"attributes.list","contains":7}`, true},
		{`{"field":"attributes.list","contains":8}`, false},
		{`{"field":"attributes.missing","contains":"x"}`, false},
		{`{"field":"profile.tags","notContains":"vip"}`, false},
		{`{"field":"profile.tags","notContains":"none"}`, true},
		{`{"field":"attributes.missing","notContains":"x"}`, true},
		{`{"field":"attributes.price","less":42.6}`, true},
		{`{"field":"attributes.price","less":42.5}`, false},
		{`{"field":"attributes.price","more":42.499}`, true},
		{`{"field":"attributes.text","more":0}`, false},
		{`{"field":"attributes.missing","less":1}`, false},
		{`{"field":"profile.attributes.big","more":123456789012345678901234567889}`, true},
		{`{"field":"timestamp","more":1699999999}`, true},
		{`{"field":"profile.attributes.born","less":"2000-01-01"}`, true},
		{`{"field":"attributes.data.when","more":"2026-11-22T08:59:59Z"}`, true},
		{`{"field":"attributes.data.when","less":"2026-11-22T09:00:00Z"}`, false},
		{`{"field":"attributes.none","isSet":true}`, false},
		{`{"field":"attributes.none","isSet":false}`, true},
		{`{"field":"profile.lastName","isSet":true}`, false},
		{`{"field":"attributes.empty","isSet":true}`, false},
		{`{"field":"attributes.yes","isSet":true}`, true},
		{`{"field":"attributes.data","isSet":true}`, true},
		{`{"field":"attributes.text","matches":"(?i)^hello"}`, true},
		{`{"field":"attributes.text","matches":"^World"}`, false},
		{`{"field":"profile.attributes.size","matches":"^4"}`, true},
		{`{"field":"attributes.list","matches":"x"}`, false},
		{`{"field":"attributes.mail","isEmail":true}`, true},
		{`{"field":"attributes.text","isEmail":true}`, false},
		{`{"field":"attributes.text","isEmail":false}`, true},
		{`{"field":"attributes.price","isNumeric":true}`, true},
		{`{"field":"attributes.phone","isNumeric":true}`, false},
		{`{"field":"profile.attributes.zip","isNumeric":true}`, false},
		{`{"field":"profile.attributes.size","isNumeric":true}`, true},
		{`{"field":"attributes.yes","isNumeric":true}`, false},
		{`{}`, true},
		{`{"all":[{"field":"profile.country","equals":"NL"},{"field":"profile.tags","contains":"vip"}]}`, true},
		{`{"all":[{"field":"profile.country","equals":"NL"},{"field":"profile.tags","contains":"no"}]}`, false},
		{`{"any":[{"field":"profile.country","equals":"BE"},{"field":"profile.tags","contains":"vip"}]}`, true},
		{`{"any":[{"field":"profile.country","equals":"BE"},{"field":"profile.tags","contains":"no"}]}`, false},
		{`{"not":{"field":"profile.country","equals":"BE"}}`, true},
		{`{"not":{"all":[{"field":"profile.country","equals":"NL"}]}}`, false},
	} {
		p, err := compile(t, c.condition)
		if err != nil {
			t.Errorf("%s: %v", c.condition, err)
			continue
		}
		if got, why := p.Matches(NewSubject(sample)); got != c.want || got != (why == "") {
			t.Errorf("%s: %v %q, want %v", c.condition, got, why, c.want)
		}
	}
}

func TestANoNamesTheComparison(t *testing.T) {
	t.Parallel()
	for condition, want := range map[string]string{
		`{"all":[{"field":"profile.tags","contains":"vip"},{"field":"profile.country","equals":"BE"}]}`: `condition.all[1]: not so that profile.country equals "BE"`,
		`{"field":"attributes.nothing","more":3}`:                                                       `condition: not so that attributes.nothing is more than 3, there is no such field`,
		`{"not":{"field":"profile.tags","contains":"vip"}}`:                                             `condition.not: what must not hold does: profile.tags contains "vip"`,
		`{"any":[{"field":"profile.country","equals":"BE"},{"field":"profile.country","equals":"DE"}]}`: `condition.any: none of the 2 holds`,
		`{"field":"attributes.text","isEmail":true}`:                                                    `condition: not so that attributes.text is an e-mail address`,
		`{"field":"attributes.text","isSet":false}`:                                                     `condition: not so that attributes.text is set: false`,
	} {
		p, err := compile(t, condition)
		if err != nil {
			t.Fatal(err)
		}
		if yes, why := p.Matches(NewSubject(sample)); yes || why != want {
			t.Errorf("%s: %v %q", condition, yes, why)
		}
	}
}

func TestAWrongConditionNamesItsPlace(t *testing.T) {
	t.Parallel()
	deep := `{"field":"type","isSet":true}`
	for range maxConditionDepth + 1 {
		deep = `{"not":` + deep + `}`
	}
	for condition, want := range map[string]string{
		`{"all":[{"field":"profile.contry","equals":"NL"}]}`:    "condition.all[0].field must name a field of the profile",
		`{"field":"person.country","equals":"NL"}`:              "condition.field must begin with one of type, timestamp",
		`{"field":"profile.country"}`:                           "condition must have one of equals, notEquals, contains, notContains, less, more, isSet, matches, isEmail, isNumeric; it has none",
		`{"field":"type","equals":"a","less":3}`:                "it has equals and less",
		`{"equals":"a"}`:                                        "condition.field must be set",
		`{"all":[],"not":{}}`:                                   "condition must have one of all, any, not and field; it has all and not",
		`{"any":[]}`:                                            "condition.any must have at least one condition",
		`{"not":{}}`:                                            "condition.not must have one of all, any, not and field; it has none",
		`{"field":"type","matches":"("}`:                        "condition.matches is no regular expression: missing closing )",
		`{"field":"type","matches":"(?:a{500}){2}"}`:            "condition.matches costs too much",
		`{"field":"type","matches":"(?P<x>a)(?=b)"}`:            "condition.matches is no regular expression",
		`{"field":"type","matches":"` + long(300) + `"}`:        "condition.matches must have at most 256 bytes",
		`{"field":"type","equals":"` + long(1001) + `"}`:        "condition.equals must have at most 1000 bytes",
		`{"field":"type","equals":1e999}`:                       "condition.equals is out of range",
		`{"field":"type","less":"soon"}`:                        "condition.less must be a number, a date",
		`{"field":"type","contains":""}`:                        "condition.contains must not be empty",
		`{"field":"type.x","isSet":true}`:                       "condition.field has nothing beneath type",
		`{"field":"attributes.` + long(300) + `","isSet":true}`: "condition.field must have at most 200 bytes",
		deep: "nests deeper than 10",
		`{"all":[` + strings.Repeat(`{"field":"type","isSet":true},`, maxComparisons) + `{"field":"type","isSet":true}]}`: "condition.all[100] is one of more than 100 comparisons",
	} {
		_, err := compile(t, condition)
		if e := usersync.AsError(err); e == nil || e.Code != usersync.CodeInvalid || !strings.Contains(e.Message, want) {
			t.Errorf("%.80s: %v", condition, err)
		}
	}
}

func long(n int) string { return strings.Repeat("x", n) }

func TestAWrongActionNamesItsPlace(t *testing.T) {
	t.Parallel()
	deep := `{"type":"find-colleagues"}`
	for range maxBranchDepth + 1 {
		deep = `{"type":"branch","if":{"field":"type","isSet":true},"then":[` + deep + `]}`
	}
	for action, want := range map[string]string{
		`{"type":"dance"}`:                                                                                       "actions[0].type must be one of [update-user",
		`{"type":"wait"}`:                                                                                        "actions[0] must have one of for and until",
		`{"type":"wait","for":"10s","url":"x"}`:                                                                  "actions[0].url is no field of wait",
		`{"type":"wait","for":"soon"}`:                                                                           "actions[0].for must be a duration",
		`{"type":"wait","for":"400d"}`:                                                                           "actions[0].for must be from 1s to 366d",
		`{"type":"wait","for":"1ms"}`:                                                                            "actions[0].for must be from 1s to 366d",
		`{"type":"wait","until":"tomorrow"}`:                                                                     "actions[0].until must be a time",
		`{"type":"wait","until":"{{.x}}"}`:                                                                       "actions[0].until line 1: there is no field .x",
		`{"type":"branch","then":[{"type":"wait","for":"1s"}]}`:                                                  "actions[0].if must be set",
		`{"type":"branch","if":{"field":"type","isSet":true}}`:                                                   "actions[0] must have actions in then or in else",
		`{"type":"branch","if":{"field":"typ","isSet":true},"then":[]}`:                                          "actions[0].if.field must begin with",
		`{"type":"send-webhook","method":"PATCH","url":"https://example.com"}`:                                   "actions[0].method must be one of [GET POST PUT DELETE]",
		`{"type":"send-webhook","method":"GET"}`:                                                                 "actions[0].url must be set",
		`{"type":"send-webhook","method":"GET","url":"https://{{.type}}/"}`:                                      "actions[0].url must begin with a scheme and a host",
		`{"type":"send-webhook","method":"GET","url":"https://example.com","body":"x"}`:                          "actions[0].body must not be set for GET",
		`{"type":"send-webhook","method":"GET","url":"https://example.com","headers":{"Host":"x"}}`:              "actions[0].headers.Host is set by HTTP itself",
		`{"type":"send-webhook","method":"GET","url":"https://example.com","headers":{"a b":"x"}}`:               "actions[0].headers.a b is no name of a header",
		`{"type":"send-webhook","method":"GET","url":"https://example.com","headers":{"A":"x\r\nB: y"}}`:         "actions[0].headers.A must have no line breaks",
		`{"type":"send-webhook","method":"GET","url":"https://example.com","headers":{"a":"x","A":"y"}}`:         "actions[0].headers.a is there twice",
		`{"type":"send-webhook","method":"PUT","url":"https://example.com","body":"{\"a\":\"{{.type}}"}`:         "actions[0].body a text is not closed",
		`{"type":"send-webhook","method":"PUT","url":"https://example.com","headers":{"content-type":"{{.x}}"}}`: "actions[0].headers.content-type must not be a template",
		`{"type":"send-webhook","name":"1a","method":"GET","url":"https://example.com"}`:                         "actions[0].name must begin with a letter",
		`{"type":"update-user"}`:                                                                                 "actions[0] must have fields in set or in unset",
		`{"type":"update-user","set":{"email":"x"}}`:                                                             "actions[0].set.email must be one of firstName",
		`{"type":"update-user","set":{"country":3}}`:                                                             "actions[0].set.country must be a text",
		`{"type":"update-user","set":{"attributes.":"x"}}`:                                                       "actions[0].set.attributes. must be named",
		`{"type":"update-user","set":{"name":"x"},"unset":["name"]}`:                                             "actions[0].unset[0] is set by the same action",
		`{"type":"update-user","set":{"name":"{{range .type}}{{end}}"}}`:                                         "actions[0].set.name line 1: only fields",
		`{"type":"add-tag"}`:                                                "actions[0].tags must have at least one tag",
		`{"type":"add-tag","tags":[" "]}`:                                   "actions[0].tags[0] must not be empty",
		`{"type":"sync-to-platforms","connections":[]}`:                     "actions[0].connections must name at least one",
		`{"type":"sync-to-platforms","connections":["x"]}`:                  "actions[0].connections[0] must be the id of a connection",
		`{"type":"remove-from-platforms","connections":["con_1",""]}`:       "actions[0].connections[1] must be the id of a connection",
		`{"type":"remove-from-platforms","tags":["x"]}`:                     "actions[0].tags is no field of remove-from-platforms",
		`{"type":"send-invitation","limit":-1}`:                             "actions[0].limit must be 1 to 50",
		`{"type":"find-colleagues","limit":5}`:                              "actions[0].limit is no field of find-colleagues",
		`{"type":"unsubscribe","channel":"fax"}`:                            "actions[0].channel must be email or sms",
		`{"type":"trigger-event","event":"user/registr"}`:                   "actions[0].event must be one of [user/update",
		`{"type":"trigger-event","event":"custom/X"}`:                       "actions[0].event must be one of",
		`{"type":"trigger-event","event":"custom/x","attributes":{"":"x"}}`: "actions[0].attributes. must be named",
		deep: "branches nest deeper than 8",
		strings.Repeat(`{"type":"find-colleagues"},`, maxActions) + `{"type":"find-colleagues"}`: "actions[100] is one of more than 100 actions",
	} {
		_, err := Parse([]byte(`{"name":"n","trigger":{"type":"user/update"},"actions":[` + action + `]}`))
		if e := usersync.AsError(err); e == nil || e.Code != usersync.CodeInvalid || !strings.Contains(e.Message, want) {
			t.Errorf("%.120s: %v, want %s", action, err, want)
		}
	}
	for definition, want := range map[string]string{
		`{}`: `name must be set; trigger.type must be one of [user/update user/register user/remove webshop/cart/add webshop/cart/remove], or begin with custom/ and go on with small letters, digits, - and /; actions must have at least one action`,
		`{"name":"n","trigger":{"type":"custom/a"},"overlap":"some","actions":[{"type":"find-colleagues"}]}`: "overlap must be one of [all replace ignore]",
		`{"name":"n","actoins":[]}`: "The definition cannot be read.",
		`[]`:                        "The definition cannot be read.",
	} {
		if _, err := Parse([]byte(definition)); err == nil || usersync.AsError(err).Message != want {
			t.Errorf("%s: %v", definition, err)
		}
	}
}

const branching = `{"name":"n","trigger":{"type":"user/update"},"actions":[
	{"type":"wait","for":"1s"},
	{"type":"branch","if":{"field":"profile.country","equals":"NL"},"then":[
		{"type":"add-tag","tags":["nl"]},
		{"type":"branch","if":{"field":"attributes.size","more":1},"then":[{"type":"add-tag","tags":["big"]}],"else":[{"type":"add-tag","tags":["small"]}]}
	],"else":[
		{"type":"branch","if":{"field":"profile.country","equals":"BE"},"else":[{"type":"add-tag","tags":["other"]}]}
	]},
	{"type":"find-colleagues"}]}`

// walk runs a program without doing anything, and returns the places that it passes.
func walk(p *Program, data map[string]any) (places []string) {
	s := NewSubject(data)
	for at := 0; at < len(p.Steps); {
		step := p.Steps[at]
		places = append(places, step.Place)
		at = step.Next
		if step.Type() == Branch {
			at, _ = step.Takes(s)
		}
	}
	return places
}

func TestARunTakesOneWayOfABranchAndGoesOnBehindIt(t *testing.T) {
	t.Parallel()
	p, err := Parse([]byte(branching))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		country, size string
		want          []string
	}{
		{"NL", "2", []string{"actions[0]", "actions[1]", "actions[1].then[0]", "actions[1].then[1]", "actions[1].then[1].then[0]", "actions[2]"}},
		{"NL", "0", []string{"actions[0]", "actions[1]", "actions[1].then[0]", "actions[1].then[1]", "actions[1].then[1].else[0]", "actions[2]"}},
		{"BE", "", []string{"actions[0]", "actions[1]", "actions[1].else[0]", "actions[2]"}},
		{"DE", "", []string{"actions[0]", "actions[1]", "actions[1].else[0]", "actions[1].else[0].else[0]", "actions[2]"}},
	} {
		data := map[string]any{"profile": map[string]any{"country": c.country}, "attributes": map[string]any{"size": c.size}}
		if got := walk(p, data); !slices.Equal(got, c.want) {
			t.Errorf("%s %s: %v", c.country, c.size, got)
		}
	}
}

func TestAnActionIsFilledInFromTheEvent(t *testing.T) {
	t.Parallel()
	p, err := Parse([]byte(`{"name":"n","trigger":{"type":"user/update"},"actions":[
		{"type":"update-user","set":{"name":"{{.profile.firstName | upper}}","attributes.size":"{{.attributes.size}}","attributes.n":12345678901234567890},"unset":["country"]},
		{"type":"send-webhook","method":"POST","url":"https://example.com/u/{{.profile.email}}?x=1","query":{"q":"{{.attributes.text}}&"},"headers":{"X-Name":"{{.profile.firstName}}"},"body":"{\"t\":\"{{.attributes.text}}\",\"l\":{{.attributes.list}}}"},
		{"type":"send-webhook","method":"POST","url":"https://example.com","headers":{"Content-Type":"application/x-www-form-urlencoded"},"body":"a={{.attributes.text}}"},
		{"type":"add-tag","tags":["size-{{.attributes.size}}"]},
		{"type":"trigger-event","event":"custom/x","attributes":{"a":"{{.attributes.size}}","b":true}},
		{"type":"wait","until":"{{.attributes.data.when}}"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	var out []Action
	for _, s := range p.Steps {
		a, err := s.Fill(sample)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, a)
	}
	got, err := json.MarshalIndent(out, "", "")
	if err != nil {
		t.Fatal(err)
	}
	want := `[{"type":"update-user","set":{"attributes.n":12345678901234567890,"attributes.size":"42","name":"ANN"},"unset":["country"]},` +
		`{"type":"send-webhook","method":"POST","url":"https://example.com/u/ann@example.com?x=1\u0026q=Hello+World%26","headers":{"X-Name":"Ann"},"body":"{\"t\":\"Hello World\",\"l\":[\"x\",7]}"},` +
		`{"type":"send-webhook","method":"POST","url":"https://example.com","headers":{"Content-Type":"application/x-www-form-urlencoded"},"body":"a=Hello+World"},` +
		`{"type":"add-tag","tags":["size-42"]},{"type":"trigger-event","event":"custom/x","attributes":{"a":"42","b":true}},{"type":"wait","until":"2026-11-22T10:00:00+01:00"}]`
	var a, b any
	if json.Unmarshal(got, &a) != nil || json.Unmarshal([]byte(want), &b) != nil || fmt.Sprint(a) != fmt.Sprint(b) {
		t.Errorf("%s", got)
	}
	if p.Steps[1].action.URL == out[1].URL {
		t.Error("the definition is changed")
	}
}

func TestATemplateThatCannotBeFilledInNamesItsPlace(t *testing.T) {
	t.Parallel()
	hostile := map[string]any{"attributes": map[string]any{"x": "a\r\nB: c", "when": "never", "long": long(5000)}, "profile": map[string]any{}}
	for action, want := range map[string]string{
		`{"type":"send-webhook","method":"GET","url":"https://example.com","headers":{"A":"{{.attributes.x}}"}}`: "actions[0].then[0].headers.A: must make no line breaks or other control characters",
		`{"type":"send-webhook","method":"GET","url":"https://example.com/{{.attributes.no}}"}`:                  `actions[0].then[0].url: line 1: there is no value for .attributes.no; another one can stand in, as in {{.attributes.no | default "none"}}`,
		`{"type":"send-webhook","method":"GET","url":"https://example.com/","query":{"a":"\n{{.profile.no}}"}}`:  `actions[0].then[0].query.a: line 2: there is no value for .profile.no; another one can stand in, as in {{.profile.no | default "none"}}`,
		`{"type":"add-tag","tags":["a","{{.attributes.long}}"]}`:                                                 "actions[0].then[0].tags[1]: must make at most 4096 bytes",
		`{"type":"add-tag","tags":["{{.attributes.no | default \" \"}}"]}`:                                       "actions[0].then[0].tags[0]: must make 1 to 100 characters",
		`{"type":"wait","until":"{{.attributes.when}}"}`:                                                         "actions[0].then[0].until: must be a time as 2026-11-22T10:00:00Z, a date, or seconds since 1970",
		`{"type":"update-user","set":{"attributes.a":"{{.profile.x.y}}"}}`:                                       "actions[0].then[0].set.attributes.a: line 1: <.profile.x.y>: nil pointer evaluating interface {}.y",
	} {
		p, err := Parse([]byte(`{"name":"n","trigger":{"type":"user/update"},"actions":[{"type":"branch","if":{"field":"type","isSet":true},"then":[` + action + `]}]}`))
		if err != nil {
			t.Errorf("%s: %v", action, err)
			continue
		}
		if _, err := p.Steps[1].Fill(hostile); err == nil || usersync.AsError(err).Message != want {
			t.Errorf("%s: %v, want %s", action, err, want)
		}
	}
}

func TestTheQuestionsAboutOneEventCostOnlySoMuchTogether(t *testing.T) {
	t.Parallel()
	p, err := compile(t, `{"not":{"field":"attributes.long","matches":"(x+x+)+y"}}`)
	if err != nil {
		t.Fatal(err)
	}
	s := NewSubject(map[string]any{"attributes": map[string]any{"long": long(maxMatched)}})
	asked := 0
	for yes, why := true, ""; yes; asked++ {
		if yes, why = p.Matches(s); !yes && why != whySpent {
			t.Fatal(why)
		}
	}
	if asked < 10 || asked > 1000 {
		t.Errorf("%d were asked", asked)
	}
}

// FuzzParse reads any text. What is taken can be written, read again to the same, asked
// and filled in, and no step leads back.
func FuzzParse(f *testing.F) {
	f.Add([]byte(branching))
	for _, seed := range []string{
		`{"name":"n","trigger":{"type":"custom/x"},"condition":{"any":[{"not":{"field":"attributes.a","matches":"a+"}}]},"overlap":"ignore","actions":[{"type":"wait","until":"{{.timestamp}}"}]}`,
		`{"name":"n","trigger":{"type":"user/update"},"actions":[{"type":"send-webhook","name":"a","method":"PUT","url":"https://example.com/{{.type}}","query":{"a":"b"},"headers":{"a":"b"},"body":"{}"}]}`,
		`{"name":"n","trigger":{"type":"user/update"},"actions":[{"type":"update-user","set":{"attributes.x":1e5},"unset":["name"]},{"type":"trigger-event","event":"custom/y","attributes":{"a":true}}]}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := Parse(text)
		if err != nil {
			if usersync.CodeOf(err) != usersync.CodeInvalid {
				t.Fatal(err)
			}
			return
		}
		written, err := json.Marshal(p.Definition)
		if err != nil {
			t.Fatal(err)
		}
		again, err := Parse(written)
		if err != nil {
			t.Fatalf("%s is taken, then refused: %v", written, err)
		}
		if other, _ := json.Marshal(again.Definition); string(other) != string(written) {
			t.Fatalf("%s became %s", written, other)
		}
		if yes, why := p.Matches(NewSubject(sample)); yes != (why == "") {
			t.Fatalf("%v %q", yes, why)
		}
		for i, s := range p.Steps {
			if s.Next <= i || s.Next > len(p.Steps) || s.Type() == Branch && (s.Else <= i || s.Else > len(p.Steps)) {
				t.Fatalf("step %d leads to %d and %d of %d", i, s.Next, s.Else, len(p.Steps))
			}
			if _, err := s.Fill(sample); err != nil && usersync.CodeOf(err) != usersync.CodeInvalid {
				t.Fatal(err)
			}
		}
	})
}

// BenchmarkMatch asks 1,000 follow-ups, of five comparisons each, about one event, and
// reports the time for all, and that of the processor. None matches, and the last
// comparison decides.
func BenchmarkMatch(b *testing.B) {
	matchers := make([]*Matcher, 1000)
	for i := range matchers {
		p, err := Parse(fmt.Appendf(nil, `{"name":"n","trigger":{"type":"user/update"},"actions":[{"type":"find-colleagues"}],"condition":{"all":[
			{"field":"profile.country","equals":"NL"},{"field":"attributes.size","more":%d},{"not":{"field":"profile.tags","contains":"tag%d"}},
			{"field":"attributes.text","matches":"(?i)world"},{"field":"attributes.text","contains":"number %d"}]}}`, i%40, i, i))
		if err != nil {
			b.Fatal(err)
		}
		matchers[i] = p.Matcher()
	}
	before := processor(b)
	for b.Loop() {
		s := NewSubject(sample)
		for _, m := range matchers {
			if yes, why := m.Matches(s); yes || why == whySpent {
				b.Fatal(why)
			}
		}
	}
	b.ReportMetric(float64(processor(b)-before)/float64(b.N), "cpu-ns/op")
}

// processor returns how long this process has had a processor, in nanoseconds.
func processor(b *testing.B) int64 {
	b.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return used.Utime.Nano() + used.Stime.Nano()
}
