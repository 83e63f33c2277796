package template

import (
	"encoding/json"
	"runtime"
	"strings"
	"testing"
	"unicode/utf8"

	"usersync/internal/usersync"
)

// hostile returns data whose values are of the longest kind: each of their bytes takes up
// to six as JSON and in HTML.
func hostile(bytes int) map[string]any {
	long := strings.Repeat("<\x01a&", bytes/4)
	return map[string]any{
		"name": long, "empty": "", "age": 30.0, "attributes": map[string]any{"x": long, "y": long, "list": []any{long, map[string]any{long: long}}},
	}
}

// The values of the first are longer than the budget; one of the second fills the
// output, but for what escapes it; a template can make many like those of the third.
var (
	huge  = hostile(MaxMade)
	full  = hostile(MaxOutput)
	large = hostile(8 << 10)
)

// allocated returns how many bytes the program has allocated so far, freed ones too.
func allocated() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}

// measured executes a template and returns what it allocated.
func measured(t *Template, data any) (bytes uint64, err error) {
	before := allocated()
	_, err = t.Execute(data)
	return allocated() - before, err
}

// mostAllocated bounds what an execution may allocate for the budget: json.Marshal, fmt
// and the escapers of HTML write into buffers of their own, which grow.
const mostAllocated = 8 * MaxMade

// The first is refused as it is read: 32 of them were the end of the process.
func TestChainedEscapesAreRefused(t *testing.T) {
	t.Parallel()
	for _, source := range []string{
		"{{.name" + strings.Repeat("|json", 32) + "}}",
		"{{if eq (.name" + strings.Repeat("|json", 16) + `) ""}}{{end}}{"a":1}`,
		"{{.name | json | upper | json}}", "{{json (json .name)}}", "{{json (.empty | default (json .name))}}", "{{(json .name) | json}}", "{{json (and .name (json .name))}}",
	} {
		for _, parse := range []func(string) (*Template, error){ParseText, ParseHTML} {
			_, err := parse(source)
			if e := usersync.AsError(err); e == nil || e.Code != usersync.CodeInvalid || e.Message != "line 1: json may not be applied to what json has written" {
				t.Errorf("%.60s: %v", source, err)
			}
		}
	}
	for _, source := range []string{"{{json .name}}{{json .empty}}", "{{.name | upper | json}}", "{{if json .empty}}{{json .name}}{{end}}"} {
		if _, err := ParseText(source); err != nil {
			t.Errorf("%s: %v", source, err)
		}
	}
}

// Not parallel: what others allocate would count.
func TestATemplateMakesNoMoreThanItsBudget(t *testing.T) {
	repeat := func(s string) string { return strings.Repeat(s, MaxSource/len(s)) }
	for what, source := range map[string]string{
		"values that nobody sees":            repeat(`{{if eq (json .name) ""}}{{end}}`),
		"one of each in a chain":             "{{if .name" + strings.Repeat("|upper|lower", 1000) + "}}{{end}}",
		"cases in a chain":                   `{{if eq (.name` + strings.Repeat("|lower|upper", 1000) + `) ""}}{{end}}`,
		"much that is compared":              repeat(`{{if eq .name .attributes.x}}{{end}}`),
		"much that is compared, by pipes":    repeat(`{{if .name|eq .attributes.x .attributes.y}}{{end}}`),
		"arguments":                          `{{if and ` + strings.Repeat("(json .name) ", 1000) + `}}{{end}}`,
		"an attribute that is escaped twice": `<a href="/?{{.name}}" onclick="f('{{.name}}', {{.attributes}})" style="width:{{.name}}">`,
		"a script":                           "<script>x = {{.attributes}}; y = `{{.name}}`; z = /{{.name}}/</script>",
		"one long JSON":                      `{{json .attributes}}`,
		"one long text":                      `{{.attributes}}`,
	} {
		for _, parse := range []func(string) (*Template, error){ParseText, ParseHTML} {
			tmpl, err := parse(source)
			if err != nil {
				t.Errorf("%s: %v", what, err)
				continue
			}
			for _, data := range []map[string]any{huge, full, large} {
				bytes, err := measured(tmpl, data)
				if err == nil && strings.Contains(source, "(json .name) (json .name)") || err != nil && usersync.CodeOf(err) != usersync.CodeInvalid {
					t.Errorf("%s: %v", what, err)
				}
				if bytes > mostAllocated {
					t.Errorf("%s: %d bytes were allocated, want at most %d", what, bytes, mostAllocated)
				}
			}
		}
	}
}

// What is written is charged as it is made, so a template may still fill the output.
func TestATemplateMayFillItsOutput(t *testing.T) {
	t.Parallel()
	text := strings.Repeat("ä", MaxOutput/2/8)
	for _, source := range []string{strings.Repeat("{{.x}}", 7), strings.Repeat("{{json .x}}", 7), strings.Repeat("{{if ne .x `a`}}{{.x | default `b`}}{{end}}", 7)} {
		tmpl, err := ParseText(source)
		if err != nil {
			t.Fatal(err)
		}
		if out, err := tmpl.Execute(map[string]any{"x": text}); err != nil || len(out) < MaxOutput*7/8 {
			t.Errorf("%.40s: %d bytes, %v", source, len(out), err)
		}
	}
}

func TestComparingIsAsInGo(t *testing.T) {
	t.Parallel()
	for source, want := range map[string]string{
		"{{if eq .age 30.0}}a{{end}}": "a", `{{if .empty | eq ""}}a{{end}}`: "a", `{{if eq .empty "x" "" "y"}}a{{end}}`: "a", "{{if ne .empty `b`}}a{{end}}": "a",
		`{{if eq (.empty | default "you") "you"}}a{{end}}`: "a", "{{if not (eq .empty `b`)}}a{{end}}": "a",
	} {
		tmpl, err := ParseText(source)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := tmpl.Execute(large); err != nil || got != want {
			t.Errorf("%s gave %q, %v; want %q", source, got, err, want)
		}
	}
	if _, err := ParseText("{{charged .name | shown}}"); err == nil {
		t.Error("a template may charge by itself")
	}
}

func TestErrorsTellNoValueAndNothingThatTheTemplateDoesNotSay(t *testing.T) {
	t.Parallel()
	for source, want := range map[string]string{
		"{{eq .attributes .attributes}}":                         "line 1: maps and lists cannot be compared",
		"\n{{if .attributes.list | ne .attributes.list}}{{end}}": "line 2: maps and lists cannot be compared",
		"{{if eq .age 30}}{{end}}":                               "line 1: <eq (.age) (30)>: error calling eq: incompatible types for comparison: float64 and int",
		"{{.name.x}}":                                            "line 1: <.name.x>: can't evaluate field x in type interface {}",
		"{{lower .attributes}}":                                  "line 1: <.attributes>: wrong type for value; expected string; got map[string]interface {}",
	} {
		for _, parse := range []func(string) (*Template, error){ParseText, ParseHTML} {
			tmpl, err := parse(source)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := tmpl.Execute(large); err == nil || usersync.AsError(err).Message != want {
				t.Errorf("%s: %.200v, want %s", source, err, want)
			}
		}
	}
}

// FuzzBudget runs any template over long values, and measures what it allocates.
func FuzzBudget(f *testing.F) {
	for _, seed := range []string{
		"", "{{.name}}", "{{json .attributes}}", "{{.name|upper|lower|trim|json}}", `{{if eq (json .name) (upper .name)}}{{.attributes}}{{end}}`, "{{.empty | default .name | json}}",
		"<a href='{{.name}}' onclick=\"f('{{.name}}')\">{{json .name}}</a>", "<script>x = {{.name}}</script><style>{{.name}}</style>", "{{and (json .name) (json .name)}}", "{{.attributes.list}}{{not .age}}",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, source string) {
		for _, parse := range []func(string) (*Template, error){ParseText, ParseHTML} {
			tmpl, err := parse(source)
			if err != nil {
				continue
			}
			for _, data := range []map[string]any{huge, full, large} {
				bytes, err := measured(tmpl, data)
				if err != nil && (usersync.CodeOf(err) != usersync.CodeInvalid || strings.Contains(err.Error(), "<\x01a&<")) {
					t.Fatalf("%q: %v", source, err)
				}
				if bytes > mostAllocated {
					t.Fatalf("%q allocates %d bytes", source, bytes)
				}
			}
		}
	})
}

// FuzzJSONSize compares what is charged with what is written.
func FuzzJSONSize(f *testing.F) {
	for _, seed := range []string{"", "a\"b\\c", "\b\f\n\r\t\x00\x1f\x7f", "<&>\u2028\u2029", "\xff\xc0a", "ä€😀\ufffd"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, value := range []any{s, map[string]any{s: s, "b": []any{s, 1.5, true, nil}}, map[string]string{s: s, "b": ""}, []any{}, map[string]any{}} {
			text, err := json.Marshal(value)
			if err != nil {
				t.Fatal(err)
			}
			size := jsonSize(value)
			if size < len(text) || size > len(text) && !strings.ContainsRune(s, utf8.RuneError) {
				t.Fatalf("%q is charged %d bytes and has %d", text, size, len(text))
			}
		}
	})
}
