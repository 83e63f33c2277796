package template

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"

	"usersync/internal/usersync"
)

var roots = []string{"name", "n", "map", "evil", "dots"}

var formData = map[string]any{
	"name": `Ann "x" ü`, "n": json.Number("12345678901234567890"), "map": map[string]any{"a": json.Number("1"), "b": nil},
	"evil": `","admin":true,"x":"` + "\r\n&a=b#c?d/e", "dots": "..",
}

func TestAFieldThatIsNotThereIsFalseAndHasADefault(t *testing.T) {
	t.Parallel()
	for source, want := range map[string]string{
		"{{if .map.none}}a{{else}}b{{end}}": "b", `{{.map.none | default "you"}}`: "you", "{{.n}}": "12345678901234567890", "{{.map}}": `{"a":1,"b":null}`,
		"{{json .name}}": `"Ann \"x\" ü"`, "{{if and .map.no .map.no.deeper}}a{{end}}": "",
	} {
		tmpl, err := ParseField(source, roots)
		if err != nil {
			t.Errorf("%s: %v", source, err)
			continue
		}
		if got, err := tmpl.Execute(formData); err != nil || got != want {
			t.Errorf("%s gave %q, %v; want %q", source, got, err, want)
		}
	}
	tmpl, err := ParseField("a\n{{.map.none}}", roots)
	if err != nil {
		t.Fatal(err)
	}
	want := `line 2: there is no value for .map.none; another one can stand in, as in {{.map.none | default "none"}}`
	if _, err := tmpl.Execute(formData); err == nil || usersync.AsError(err).Message != want {
		t.Errorf("%v", err)
	}
}

func TestFormsKnowTheirRoots(t *testing.T) {
	t.Parallel()
	for _, source := range []string{"\n{{.other.x}}", "\n{{if eq (.other | default `x`) `y`}}{{end}}"} {
		if _, err := ParseField(source, []string{"a", "b"}); err == nil || usersync.AsError(err).Message != "line 2: there is no field .other; there are .a, .b" {
			t.Errorf("%v", err)
		}
	}
}

func TestJSONIsEscapedForThePlaceWhereAValueStands(t *testing.T) {
	t.Parallel()
	for source, want := range map[string]string{
		`{"a":"hi {{.name}}","b":{{.name}},"c":{{.n}},"d":{{.map}},"e":{{.map.none}},"f":{{json .name}}}`: `{"a":"hi Ann \"x\" ü","b":"Ann \"x\" ü","c":12345678901234567890,"d":{"a":1,"b":null},"e":null,"f":"Ann \"x\" ü"}`,
		`{"a":"{{.map}} {{json .name}}"}`:                  `{"a":"{\"a\":1,\"b\":null} \"Ann \\\"x\\\" ü\""}`,
		`{"a\"{{.n}}":1}`:                                  `{"a\"12345678901234567890":1}`,
		`[{{if .name}}"{{.name}}"{{else}}null{{end}}]`:     `["Ann \"x\" ü"]`,
		`{"a":"{{if .name}}{{.name | upper}}{{end}}"}`:     `{"a":"ANN \"X\" Ü"}`,
		`{{if .map.none}}{{.map.none}}{{else}}[]{{end -}}`: `[]`,
	} {
		tmpl, err := ParseJSON(source, roots)
		if err != nil {
			t.Errorf("%s: %v", source, err)
			continue
		}
		if got, err := tmpl.Execute(formData); err != nil || got != want {
			t.Errorf("%s gave %s, %v; want %s", source, got, err, want)
		}
	}
	for source, want := range map[string]string{
		`{"a":"{{.name}}`:               "a text is not closed",
		`{"a":"\{{.name}}"}`:            "line 1: nothing may be inserted here",
		`{"a":{{if .name}}"x{{end}}"}`:  "line 1: an if and its else must both end within the quotes or both outside of them",
		"{\n\"a\":{{range .n}}{{end}}}": "line 2: only fields, if/else and pipes may stand here",
	} {
		if _, err := ParseJSON(source, roots); err == nil || usersync.AsError(err).Message != want {
			t.Errorf("%s: %v", source, err)
		}
	}
	tmpl, err := ParseJSON(`{"a":{{.name}}`, roots)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tmpl.Execute(formData); err == nil || usersync.AsError(err).Message != "the output is no JSON" {
		t.Errorf("%v", err)
	}
}

func TestNoValueLeavesItsPlaceInAnAddress(t *testing.T) {
	t.Parallel()
	for source, want := range map[string]string{
		"https://example.com/a/{{.name}}?q={{.name}}":                         "https://example.com/a/Ann%20%22x%22%20%C3%BC?q=Ann+%22x%22+%C3%BC",
		"https://example.com/{{.evil}}":                                       "https://example.com/%22%2C%22admin%22:true%2C%22x%22:%22%0D%0A&a=b%23c%3Fd%2Fe",
		"https://example.com?{{if .name}}a={{.n}}{{end}}":                     "https://example.com?a=12345678901234567890",
		"http://127.0.0.1:80/x{{if .name}}{{.map.none | default `y`}}{{end}}": "http://127.0.0.1:80/xy",
		"https://example.com":                                                 "https://example.com",
	} {
		tmpl, err := ParseURL(source, roots)
		if err != nil {
			t.Errorf("%s: %v", source, err)
			continue
		}
		if got, err := tmpl.Execute(formData); err != nil || got != want {
			t.Errorf("%s gave %s, %v; want %s", source, got, err, want)
		}
	}
	for _, source := range []string{"{{.name}}", "https://{{.name}}/", "https://example.com{{.name}}/", "{{if .name}}https://example.com/{{end}}", "https://example.com/#{{.name}}", "ftp://example.com/{{.name}}", "https://example.com/{{if .n}}?{{end}}{{.name}}"} {
		if _, err := ParseURL(source, roots); err == nil {
			t.Errorf("%s is taken", source)
		}
	}
	tmpl, err := ParseURL("https://example.com/users/{{.dots}}/x", roots)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tmpl.Execute(formData); err == nil || usersync.AsError(err).Message != "a part of the path is . or .." {
		t.Errorf("%v", err)
	}
}

func TestAFieldOfAFormStaysOne(t *testing.T) {
	t.Parallel()
	tmpl, err := ParseForm("a={{.evil}}&b={{.name}}", roots)
	if err != nil {
		t.Fatal(err)
	}
	out, err := tmpl.Execute(formData)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := url.ParseQuery(out); err != nil || len(got) != 2 || got.Get("a") != formData["evil"] || got.Get("b") != formData["name"] {
		t.Errorf("%s: %v", out, err)
	}
}

func TestTemplatesNestOnlySoDeep(t *testing.T) {
	t.Parallel()
	for source, want := range map[string]string{
		strings.Repeat("{{if .name}}", maxDepth) + strings.Repeat("{{end}}", maxDepth):            "nest deeper than 100",
		"{{" + strings.Repeat("(", 2*maxDepth) + ".name" + strings.Repeat(")", 2*maxDepth) + "}}": "parentheses nest deeper than 100",
	} {
		if _, err := ParseText(source); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.30s: %v", source, err)
		}
	}
}

// FuzzForms inserts a hostile value anywhere. It must stay within its text, its field or
// its part of the address, so the output has as many quotes and parts with it as with a
// value that is harmless. What is made must not exceed the budget.
func FuzzForms(f *testing.F) {
	for _, seed := range []string{`{"a":"{{.v}}","b":{{.v}}}`, "https://example.com/{{.v}}?a={{.v}}", "{{.v|upper|json}}", "https://example.com/{{if .v}}a{{end}}?{{.v}}", `["{{.w | default "x"}}{{json .v}}"]`} {
		f.Add(seed, `","x":"y`)
	}
	f.Fuzz(func(t *testing.T, source, value string) {
		with := func(parse func(string, []string) (*Template, error), v string) (string, bool) {
			tmpl, err := parse(source, []string{"v", "w"})
			if err != nil {
				return "", false
			}
			out, err := tmpl.Execute(map[string]any{"v": v})
			if err != nil && usersync.CodeOf(err) != usersync.CodeInvalid {
				t.Fatal(err)
			}
			return out, err == nil
		}
		if strings.Contains(source, "if") || strings.Contains(source, "q") { // the value may decide what else is written
			return
		}
		if out, ok := with(ParseJSON, value); ok {
			plain, _ := with(ParseJSON, "x")
			if shape(out) != shape(plain) {
				t.Fatalf("%q over %q gave %s, and %s over x", source, value, out, plain)
			}
		}
		if out, ok := with(ParseURL, value); ok {
			plain, _ := with(ParseURL, "x")
			if a, b := parts(t, out), parts(t, plain); plain != "" && a != b {
				t.Fatalf("%q over %q gave %s, and %s over x", source, value, out, plain)
			}
		}
	})
}

// shape is a JSON text without its texts.
func shape(text string) string {
	d := json.NewDecoder(strings.NewReader(text))
	var out strings.Builder
	for {
		token, err := d.Token()
		if err != nil {
			return out.String()
		}
		switch token := token.(type) {
		case json.Delim:
			out.WriteRune(rune(token))
		case string:
			out.WriteByte('"')
		default:
			out.WriteByte('v')
		}
	}
}

// parts is the number of parts that an address has, and its host.
func parts(t *testing.T, text string) (p [4]string) {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		return p
	}
	count := func(s, sep string) string { return strings.Repeat("x", strings.Count(s, sep)) }
	return [4]string{u.Scheme + "://" + u.Host, count(u.EscapedPath(), "/"), count(u.RawQuery, "&"), u.Fragment}
}
