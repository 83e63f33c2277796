package app_test

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// A scenario file lists calls and the answers that they must get:
//
//	== a name                    begins a scenario, in an organization of its own
//	given people US a@b.example  arranges something, see arrangements
//	> POST /v1/user-sync         is sent: request line,
//	> Prefer: wait=5             headers ("Name:" drops one that is sent by itself),
//	>                            an empty line,
//	> {"user": …}                and the body, line by line as it stands
//	< 202                        must come: status,
//	< Location: /v1/{{id}}       headers ("Name:" must not be there),
//	<
//	< {"requestId":"{{id:req}}"} and the body; its lines are trimmed and joined
//	eventually                   has the next call repeated until its answer comes
//	webhook user_sync.completed  waits for a webhook; headers and body follow with <
//
// {{name}} stands for a known value. An unknown name takes the text that is there,
// which must be of the kind in {{name:kind}} if one is given, see kinds. {{:kind}}
// keeps nothing. In sent text {{fill 10}} is xxxxxxxxxx. Lines that begin with # are
// comments.
type scenario struct {
	name  string
	steps []scenarioStep
}

// scenarioStep is one arrangement, call or webhook.
type scenarioStep struct {
	line       int
	given      string // what to arrange
	webhook    string // the type to wait for
	eventually bool
	sent       part
	want       part
}

// part is one side of a call as it stands in the file.
type part struct {
	head    string // request line or status
	headers [][2]string
	body    []string
	hasBody bool
}

func (p *part) add(text string) error {
	switch {
	case p.hasBody:
		p.body = append(p.body, text)
	case strings.TrimSpace(text) == "":
		p.hasBody = true
	case p.head == "":
		p.head = strings.TrimSpace(text)
	default:
		name, value, ok := strings.Cut(strings.TrimSpace(text), ":")
		if !ok {
			return fmt.Errorf("%q is no header", text)
		}
		p.headers = append(p.headers, [2]string{name, strings.TrimSpace(value)})
	}
	return nil
}

func parseScenarios(text string) (list []scenario, err error) {
	p := scenarioParser{}
	for i, line := range strings.Split(text, "\n") {
		if err := p.read(i+1, line); err != nil {
			return nil, fmt.Errorf("line %d: %w", i+1, err)
		}
	}
	for _, s := range p.list {
		for _, step := range s.steps {
			if step.given == "" && step.want.head == "" {
				return nil, fmt.Errorf("line %d: nothing says what must come", step.line)
			}
		}
	}
	return p.list, nil
}

type scenarioParser struct {
	list       []scenario
	eventually bool
	last       byte // > or <, while a call is being read
}

func (p *scenarioParser) read(line int, text string) error {
	word, rest, _ := strings.Cut(text, " ")
	if word == "==" {
		p.list, p.last = append(p.list, scenario{name: rest}), 0
		return nil
	}
	if word == "" || strings.HasPrefix(text, "#") {
		p.last = 0
		return nil
	}
	if len(p.list) == 0 {
		return fmt.Errorf("a scenario begins with == and its name")
	}
	s := &p.list[len(p.list)-1]
	switch word {
	case "given":
		s.steps, p.last = append(s.steps, scenarioStep{line: line, given: rest}), 0
	case "webhook":
		s.steps = append(s.steps, scenarioStep{line: line, webhook: rest, want: part{head: "webhook"}})
		p.last = '<'
	case "eventually":
		p.eventually = true
	case ">":
		if p.last != '>' {
			s.steps = append(s.steps, scenarioStep{line: line, eventually: p.eventually})
			p.eventually, p.last = false, '>'
		}
		return s.steps[len(s.steps)-1].sent.add(rest)
	case "<":
		if p.last == 0 {
			return fmt.Errorf("an answer without a call")
		}
		p.last = '<'
		return s.steps[len(s.steps)-1].want.add(rest)
	default:
		return fmt.Errorf("%q is not understood", word)
	}
	return nil
}

// kinds are what a placeholder may stand for.
var kinds = map[string]string{
	"":       `[^"]*`,
	"any":    `(?s:.*?)`,
	"text":   `[^"]+`,
	"n":      `-?\d+`,
	"number": `-?[0-9.]+`,
	"time":   `\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z`,
	"day":    `\d{4}-\d\d-\d\d`,
	"cursor": `[A-Za-z0-9_-]+`,
	"hex":    `[0-9a-f]+`,
	"apikey": `usk_[A-Za-z0-9_-]{32}`,
	"secret": `whsec_[A-Za-z0-9+/=]+`,
	"public": `whpk_[A-Za-z0-9+/]{43}=`,
	"masked": `••••.{4}`,
	"del":    `del_[0-9a-hjkmnp-tv-z]{34}`,
}

func init() {
	for _, prefix := range []string{"req", "user", "tbi", "org", "key", "led", "whe", "msg", "tsk", "aud", "era", "evt", "per", "imp", "con", "fup", "grp"} {
		kinds[prefix] = prefix + `_[0-9a-hjkmnp-tv-z]{24,26}`
	}
}

var placeholder = regexp.MustCompile(`\{\{(\w*)(?::(\w+))?\}\}`)

// match compares a text with a template and puts the values of unknown names into
// vars.
func match(template, text string, vars map[string]string) error {
	var pattern strings.Builder
	var names []string
	at := 0
	for _, m := range placeholder.FindAllStringSubmatchIndex(template, -1) {
		name, kind := template[m[2]:m[3]], ""
		if m[4] >= 0 {
			kind = template[m[4]:m[5]]
		}
		pattern.WriteString(regexp.QuoteMeta(template[at:m[0]]))
		at = m[1]
		value, known := vars[name]
		switch expr, ok := kinds[kind]; {
		case known && kind == "" && name != "":
			pattern.WriteString(regexp.QuoteMeta(value))
		case !ok:
			return fmt.Errorf("there is no kind %q", kind)
		default:
			names = append(names, name)
			pattern.WriteString("(" + expr + ")")
		}
	}
	pattern.WriteString(regexp.QuoteMeta(template[at:]))
	found := regexp.MustCompile("^" + pattern.String() + "$").FindStringSubmatch(text)
	if found == nil {
		const shown = 4000
		return fmt.Errorf("got\n\t%.*s\nwant\n\t%s", shown, text, template)
	}
	return take(names, found[1:], vars)
}

// take keeps values under their names. A name that occurs twice must have the same
// value.
func take(names, values []string, vars map[string]string) error {
	taken := map[string]string{}
	for i, name := range names {
		if name == "" {
			continue
		}
		if before, ok := taken[name]; ok && before != values[i] {
			return fmt.Errorf("{{%s}} is both %s and %s", name, before, values[i])
		}
		taken[name] = values[i]
	}
	for name, value := range taken {
		vars[name] = value
	}
	return nil
}

var fill = regexp.MustCompile(`\{\{fill (\d+)\}\}`)

// expand puts the values into the text that is sent.
func expand(template string, vars map[string]string) (string, error) {
	text := fill.ReplaceAllStringFunc(template, func(m string) string {
		n, _ := strconv.Atoi(fill.FindStringSubmatch(m)[1])
		return strings.Repeat("x", n)
	})
	var err error
	text = placeholder.ReplaceAllStringFunc(text, func(m string) string {
		value, ok := vars[placeholder.FindStringSubmatch(m)[1]]
		if !ok {
			err = fmt.Errorf("%s has no value", m)
		}
		return value
	})
	return text, err
}

func TestScenarioFormat(t *testing.T) {
	t.Parallel()
	list, err := parseScenarios("# a remark\n== one\ngiven credits 1\neventually\n> POST /x\n> A: b\n>\n> {\n>  1}\n< 202\n< C:\n<\n< {\n<   \"a\": 1,\n< }\n\n== two\nwebhook t\n<\n< x\n")
	if err != nil || len(list) != 2 || len(list[0].steps) != 2 {
		t.Fatalf("%v %+v", err, list)
	}
	call := list[0].steps[1]
	if !call.eventually || call.sent.head != "POST /x" || strings.Join(call.sent.body, "\n") != "{\n 1}" ||
		call.sent.headers[0] != [2]string{"A", "b"} || call.want.head != "202" || call.want.headers[0] != [2]string{"C", ""} || len(call.want.body) != 3 {
		t.Errorf("%+v", call)
	}
	if w := list[1].steps[0]; w.webhook != "t" || len(w.want.body) != 1 {
		t.Errorf("%+v", w)
	}
	for _, wrong := range []string{"> GET /", "== a\n> GET /", "== a\n< 200", "== a\nsomething", "== a\n> GET /\n> header"} {
		if _, err := parseScenarios(wrong); err == nil {
			t.Errorf("%q is taken", wrong)
		}
	}
}

func TestTemplatesMatchOnlyWhatTheySay(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		template, text string
		ok             bool
	}{
		{`{"a":1}`, `{"a":1}`, true},
		{`{"a":1}`, `{"a":12}`, false},
		{`{"a":"{{known}}"}`, `{"a":"value"}`, true},
		{`{"a":"{{known}}"}`, `{"a":"other"}`, false},
		{`{"a":"{{new}}","b":"{{new}}"}`, `{"a":"x","b":"x"}`, true},
		{`{"a":"{{new}}","b":"{{new}}"}`, `{"a":"x","b":"y"}`, false},
		{`{{at:time}}`, `2026-11-22T10:00:00.000Z`, true},
		{`{{at:time}}`, `2026-11-22T10:00:00Z`, false},
		{`{{:n}}.{{:n}}`, `1.-2`, true},
		{`{{id:req}}`, `req_01kb5s2r4v0g1h2j3k4m5n6p7q`, true},
		{`{{id:req}}`, `user_01kb5s2r4v0g1h2j3k4m5n6p7q`, false},
		{`{"a":"{{new}}"}`, `{"a":"x","b":"y"}`, false},
		{`{{:nonsense}}`, ``, false},
	} {
		err := match(c.template, c.text, map[string]string{"known": "value"})
		if (err == nil) != c.ok {
			t.Errorf("%s with %s: %v", c.template, c.text, err)
		}
	}
	vars := map[string]string{}
	if err := match(`{{a}}-{{b:n}}`, `x-7`, vars); err != nil || vars["a"] != "x" || vars["b"] != "7" {
		t.Errorf("%v %v", err, vars)
	}
	if got, err := expand(`{{a}}{{fill 3}}`, vars); err != nil || got != "xxxx" {
		t.Errorf("%q %v", got, err)
	}
	if _, err := expand(`{{c}}`, vars); err == nil {
		t.Error("a value is made up")
	}
}
