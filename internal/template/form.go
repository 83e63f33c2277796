package template

import (
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"text/template"
	"text/template/parse"

	"usersync/internal/usersync"
)

// state is where in the output of a form a node stands: within a text of JSON, say.
type state int

// form is what a template writes. The states of the literal text say how a value is
// escaped that is inserted at its end.
type form struct {
	start state
	// after returns the state behind a literal text.
	after func(now state, text []byte) state
	// show returns the command that writes a value in a state. Where there is none,
	// nothing may be inserted.
	show func(n *parse.ActionNode, now state) (*parse.CommandNode, bool)
	// open says of a state in which the template may not end what is wrong.
	open map[state]string
	// places are the states in words, behind "both end".
	places string
	// roots are the fields that there are; nil for any.
	roots []string
}

// anyText is the form of text and of HTML, which has escapers of its own.
var anyText = form{
	after: func(now state, _ []byte) state { return now },
	show:  func(n *parse.ActionNode, _ state) (*parse.CommandNode, bool) { return call(shownName, n.Pos), true },
}

// These name the functions that write a value into a form. They are given the source of
// the field too, for what they say when there is no value.
const (
	insertText  = "insertText"
	insertWhole = "insertWhole" // a value of JSON
	insertPart  = "insertPart"  // within a text of JSON
	insertPath  = "insertPath"
	insertQuery = "insertQuery"
)

// by returns the show of a form that writes a value by the function of its state.
func by(functions map[state]string) func(*parse.ActionNode, state) (*parse.CommandNode, bool) {
	return func(n *parse.ActionNode, now state) (*parse.CommandNode, bool) {
		function, ok := functions[now]
		command := call(function, n.Pos)
		source := &parse.StringNode{NodeType: parse.NodeString, Pos: n.Pos, Text: n.Pipe.String()}
		source.Quoted = fmt.Sprintf("%q", source.Text)
		command.Args = append(command.Args, source)
		return command, ok
	}
}

// ParseField checks a template whose output is plain text. Unlike in ParseText, a field
// that is not there is no error as long as it is not shown: if takes it for false, and
// default gives another value. Its fields begin with one of the roots. Errors are those
// of ParseText.
func ParseField(source string, roots []string) (*Template, error) {
	f := anyText
	f.show = by(map[state]string{0: insertText})
	return parseForm(source, f, roots, nil)
}

// ParseForm checks a template whose output is application/x-www-form-urlencoded. A value
// that is inserted is escaped, so that it can begin no other field. Errors and missing
// fields are those of ParseField.
func ParseForm(source string, roots []string) (*Template, error) {
	f := anyText
	f.show = by(map[state]string{0: insertQuery})
	return parseForm(source, f, roots, nil)
}

// The states of JSON.
const (
	jsonOutside state = iota
	jsonText
	jsonEscape // behind a backslash
)

// ParseJSON checks a template whose output is JSON. A value that is inserted within the
// quotes of a text is escaped as a part of it. Elsewhere it is written as JSON, with
// quotes of its own if it is a text, and as null if it is not there. Execute fails if
// the output is no JSON. Errors and missing fields are otherwise those of ParseField.
func ParseJSON(source string, roots []string) (*Template, error) {
	f := form{
		after: afterJSON, places: "within the quotes or both outside of them",
		show: by(map[state]string{jsonOutside: insertWhole, jsonText: insertPart}),
		open: map[state]string{jsonText: "a text is not closed", jsonEscape: "a text is not closed"},
	}
	return parseForm(source, f, roots, func(output string) error {
		if !json.Valid([]byte(output)) {
			return usersync.Errorf(usersync.CodeInvalid, "the output is no JSON")
		}
		return nil
	})
}

func afterJSON(now state, text []byte) state {
	for _, b := range text {
		switch {
		case now == jsonEscape:
			now = jsonText
		case b == '"':
			now = jsonText - now
		case b == '\\' && now == jsonText:
			now = jsonEscape
		}
	}
	return now
}

// The states of an address.
const (
	urlPath state = iota
	urlQuery
)

// ParseURL checks a template whose output is an absolute address of https or http.
// Scheme and host are literal. A value that is inserted is escaped for the place where
// it stands, so that it can begin no other part of the address. Execute fails if a part
// of the path is . or .., by which a value could leave its place. Errors and missing
// fields are otherwise those of ParseField.
func ParseURL(source string, roots []string) (*Template, error) {
	literal, _, inserted := strings.Cut(source, "{{")
	switch {
	case strings.Contains(source, "#"):
		return nil, usersync.Errorf(usersync.CodeInvalid, "must have no fragment (#)")
	case inserted && !hostIsLiteral.MatchString(literal):
		return nil, usersync.Errorf(usersync.CodeInvalid, "must begin with a scheme and a host, as https://example.com/, and nothing may be inserted there")
	}
	f := form{
		after: func(now state, text []byte) state {
			if strings.Contains(string(text), "?") {
				return urlQuery
			}
			return now
		},
		show: by(map[state]string{urlPath: insertPath, urlQuery: insertQuery}), places: "before the question mark or both behind it",
	}
	return parseForm(source, f, roots, provenURL)
}

// hostIsLiteral matches what stands ahead of the first value: the host has ended.
var hostIsLiteral = regexp.MustCompile(`^https?://[^/?{}\s]+[/?]`)

// provenURL repeats no part of the address in what it says.
func provenURL(output string) error {
	u, err := url.Parse(output)
	if err != nil || u.Host == "" {
		return usersync.Errorf(usersync.CodeInvalid, "the output is no address")
	}
	if slices.ContainsFunc(strings.Split(u.Path, "/"), func(part string) bool { return part == "." || part == ".." }) {
		return usersync.Errorf(usersync.CodeInvalid, "a part of the path is . or ..")
	}
	return nil
}

func parseForm(source string, f form, roots []string, proof func(string) error) (*Template, error) {
	if len(source) > MaxSource {
		return nil, errTooMuch
	}
	t, err := template.New("").Option("missingkey=zero").Funcs(new(budget).inserting()).Parse(source)
	if err != nil {
		return nil, explain(err)
	}
	f.roots = roots
	if err := check(source, f, t.Tree, len(t.Templates())); err != nil {
		return nil, fmt.Errorf("check the template: %w", err)
	}
	return &Template{spending: func(b *budget) (executor, error) {
		own, err := t.Clone()
		if err != nil {
			return nil, fmt.Errorf("copy the template: %w", err)
		}
		return own.Funcs(b.inserting()), nil
	}, shown: 1, proof: proof}, nil
}

// written is a value that json has written: in JSON it is inserted as it is.
type written string

// noValueError says that the field is not there.
type noValueError string

func (e noValueError) Error() string {
	return fmt.Sprintf("there is no value for %s; another one can stand in, as in {{%s | default \"none\"}}", string(e), string(e))
}

// inserting returns the functions of an execution in a form.
func (b *budget) inserting() map[string]any {
	all := b.functions()
	all["json"] = func(value any) (written, error) {
		text, err := b.quote(value)
		return written(text), err
	}
	all[insertText] = func(source string, value any) (string, error) { return b.insert(source, value, 1, unchanged) }
	all[insertPart] = func(source string, value any) (string, error) { return b.insert(source, value, 6, withinQuotes) }
	all[insertPath] = func(source string, value any) (string, error) { return b.insert(source, value, 3, url.PathEscape) }
	all[insertQuery] = func(source string, value any) (string, error) { return b.insert(source, value, 3, url.QueryEscape) }
	all[insertWhole] = func(_ string, value any) (string, error) {
		if json, ok := value.(written); ok {
			return string(json), b.spend(len(json))
		}
		return b.quote(value)
	}
	return all
}

// insert writes a value as text, escaped. The escaper makes at most grows bytes of one.
func (b *budget) insert(source string, value any, grows int, escape func(string) string) (string, error) {
	text, ok := "", true
	switch v := value.(type) {
	case nil:
		return "", noValueError(source)
	case string:
		text = v
	case written:
		text = string(v)
	case json.Number:
		text = v.String()
	default:
		ok = false
	}
	if !ok {
		quoted, err := b.quote(value)
		if err != nil {
			return "", err
		}
		text = quoted
	}
	if err := b.spend(grows * len(text)); err != nil {
		return "", err
	}
	return escape(text), nil
}

func unchanged(s string) string { return s }

// withinQuotes returns a text as JSON without the quotes.
func withinQuotes(s string) string {
	text, _ := json.Marshal(s) // a text can always be written
	return string(text[1 : len(text)-1])
}
