package template

import (
	"strings"
	"testing"

	"usersync/internal/usersync"
)

var data = map[string]string{"name": `Ann <b>"x"</b>`, "empty": "", "link": "https://app.example.com/?a=1&b=2"}

func TestTemplatesFillInFields(t *testing.T) {
	t.Parallel()
	for source, want := range map[string]string{
		"":                                      "",
		"Hello {{.name}}!":                      `Hello Ann <b>"x"</b>!`,
		"{{if .empty}}a{{else}}b{{end}}":        "b",
		"{{if eq .empty \"\"}}a{{end}}":         "a",
		`{{.empty | default "you" | upper}}`:    "YOU",
		`{{json .name}} {{json .empty}}`:        `"Ann \u003cb\u003e\"x\"\u003c/b\u003e" ""`,
		"{{/* a remark */}}{{lower `ABC`}}":     "abc",
		"{{if and .name (not .empty)}}y{{end}}": "y",
	} {
		tmpl, err := ParseText(source)
		if err != nil {
			t.Errorf("%s: %v", source, err)
			continue
		}
		if got, err := tmpl.Execute(data); err != nil || got != want {
			t.Errorf("%s gave %q, %v; want %q", source, got, err, want)
		}
	}
}

func TestHTMLTemplatesEscapeWhatTheyInsert(t *testing.T) {
	t.Parallel()
	tmpl, err := ParseHTML(`<a href="{{.link}}" title="{{.name}}">{{.name}}</a>`)
	if err != nil {
		t.Fatal(err)
	}
	got, err := tmpl.Execute(data)
	if err != nil || strings.Contains(got, "<b>") || !strings.Contains(got, `href="https://app.example.com/?a=1&amp;b=2"`) {
		t.Errorf("%s %v", got, err)
	}
	evil, err := ParseHTML(`<a href="{{.link}}">x</a>`)
	if err != nil {
		t.Fatal(err)
	}
	got, err = evil.Execute(map[string]string{"link": "javascript:alert(1)"})
	if err != nil || strings.Contains(got, "javascript:") {
		t.Errorf("%s %v", got, err)
	}
}

func TestTemplatesRefuseWhatCouldRunAway(t *testing.T) {
	t.Parallel()
	for source, want := range map[string]string{
		"{{range .name}}x{{end}}":                    "line 1: only fields",
		"a\n{{with .name}}x{{end}}":                  "line 2: only fields",
		`{{define "x"}}y{{end}}`:                     "must not define templates",
		`{{block "x" .}}y{{end}}`:                    "must not define templates",
		`{{template "x"}}`:                           "line 1:",
		`{{printf "%1000000d" 1}}`:                   "function printf is not allowed",
		`{{call .name}}`:                             "function call is not allowed",
		`{{len .name}}`:                              "function len is not allowed",
		`{{index . "name"}}`:                         "function index is not allowed",
		`{{$x := .name}}`:                            "variables are not allowed",
		`{{.}}`:                                      "only fields, texts",
		"{{if .name}}{{range .name}}x{{end}}{{end}}": "only fields",
		"{{if .name}}{{else}}{{range .name}}x{{end}}{{end}}": "only fields",
		"{{.name":                        "line 1: unclosed action",
		"{{nothing .name}}":              `line 1: function "nothing" not defined`,
		strings.Repeat("x", MaxSource+1): "must have at most 16384 bytes",
	} {
		for _, parse := range []func(string) (*Template, error){ParseText, ParseHTML} {
			_, err := parse(source)
			e := usersync.AsError(err)
			if e == nil || e.Code != usersync.CodeInvalid || !strings.Contains(e.Message, want) {
				t.Errorf("%.40s: %v, want %q", source, err, want)
			}
		}
	}
}

func TestExecuteNamesAFieldThatIsNotThere(t *testing.T) {
	t.Parallel()
	tmpl, err := ParseText("a\n\n{{.nothing}}")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tmpl.Execute(data); err == nil || usersync.AsError(err).Message != "line 3: there is no field .nothing" {
		t.Errorf("%v", err)
	}
}

func TestExecuteBoundsItsOutput(t *testing.T) {
	t.Parallel()
	tmpl, err := ParseText(strings.Repeat("{{.long}}", 300))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tmpl.Execute(map[string]string{"long": strings.Repeat("x", 1000)}); err == nil || !strings.Contains(err.Error(), "more than 262144 bytes") {
		t.Errorf("%v", err)
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"", "{{.name}}", "{{if .a}}{{else if .b}}{{end}}", "{{range .}}{{end}}", `{{.a | default "b"}}`, "{{- .name -}}"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, source string) {
		for _, parse := range []func(string) (*Template, error){ParseText, ParseHTML} {
			tmpl, err := parse(source)
			if err != nil {
				if usersync.CodeOf(err) != usersync.CodeInvalid {
					t.Fatalf("%q: %v", source, err)
				}
				continue
			}
			if out, err := tmpl.Execute(data); err == nil && len(out) > MaxOutput {
				t.Fatalf("%q gave %d bytes", source, len(out))
			}
		}
	})
}

// FuzzHTMLEscapes runs any HTML template over a hostile value. The value must never
// reach the output unescaped, wherever it is inserted. A template that is accepted
// once must be accepted again, with the same output.
func FuzzHTMLEscapes(f *testing.F) {
	for _, seed := range []string{
		"{{.name}}", "<a href={{.name}}>", "<script>var x = {{.name}}; `{{.name}}`</script>", "<p title='{{.name}}'>{{.name | upper | lower}}</p>", "<!-- {{.name}} -->",
		"<style>{{.name}}</style>", "<textarea>{{.name}}", "{{json .name}}", "<a href='{{.name}}' onclick=\"{{.name}}\">", "<{{.name}}>", "<svg><script>{{.name}}", "{{.name | default .name | trim}}",
		"<a {{.name}}>", "<iframe srcdoc='{{.name}}'>", "<math><mi>{{.name}}", "<noscript>{{.name}}", "<title>{{.name}}",
	} {
		f.Add(seed)
	}
	const hostile = `<q9 z="1">`
	f.Fuzz(func(t *testing.T, source string) {
		tmpl, err := ParseHTML(source)
		if err != nil {
			return
		}
		values := map[string]string{"name": hostile}
		out, err := tmpl.Execute(values)
		if err != nil {
			return
		}
		if !strings.Contains(source, "<q9") && strings.Contains(out, "<q9") {
			t.Fatalf("%q gave %q", source, out)
		}
		again, err := ParseHTML(source)
		if err != nil {
			t.Fatalf("%q is taken, then refused: %v", source, err)
		}
		if same, err := again.Execute(values); err != nil || same != out {
			t.Fatalf("%q gave %q and %q, %v", source, out, same, err)
		}
	})
}
