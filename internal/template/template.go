// Package template runs the templates that organizations write. They are Go's
// text/template, restricted on the parsed tree to text, fields, if/else, pipes and a
// few functions. A template can neither loop nor call others, so it always ends, and
// it reads only the data that it is given.
package template

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	htmltemplate "html/template"
	"io"
	"regexp"
	"strings"
	"text/template"
	"text/template/parse"

	"usersync/internal/usersync"
)

// These are the bounds of a template, in bytes.
const (
	MaxSource = 16 << 10
	MaxOutput = 256 << 10
)

// Template is a checked template. It is safe for concurrent use.
type Template struct {
	run interface {
		Execute(w io.Writer, data any) error
	}
}

// functions are the functions that a template may call. Go's own functions are
// refused, except for those in builtins.
var functions = map[string]any{
	"default": fallback,
	"json":    quote,
	"lower":   strings.ToLower,
	"trim":    strings.TrimSpace,
	"upper":   strings.ToUpper,
}

// builtins are those of Go's own functions that a template may call, because they
// only compare.
var builtins = map[string]bool{"and": true, "or": true, "not": true, "eq": true, "ne": true}

// fallback is the function default. It is meant for pipes, as in {{.name | default
// "you"}}.
func fallback(instead, value any) any {
	if value == nil || value == "" {
		return instead
	}
	return value
}

// quote is the function json. It writes a value as JSON, so that a template can
// produce JSON.
func quote(value any) (string, error) {
	text, err := json.Marshal(value)
	if err != nil {
		return "", fmt.Errorf("write the value as JSON: %w", err)
	}
	return string(text), nil
}

// ParseText checks a template whose output is plain text. Errors have code
// invalid and name the line.
func ParseText(source string) (*Template, error) {
	if len(source) > MaxSource {
		return nil, errTooMuch
	}
	t, err := template.New("").Option("missingkey=error").Funcs(functions).Parse(source)
	if err != nil {
		return nil, explain(err)
	}
	if err := check(source, t.Tree, len(t.Templates())); err != nil {
		return nil, fmt.Errorf("check the template: %w", err)
	}
	return &Template{t}, nil
}

// ParseHTML checks a template whose output is HTML. Inserted values are escaped for
// the place where they stand. Errors are those of ParseText.
func ParseHTML(source string) (*Template, error) {
	if len(source) > MaxSource {
		return nil, errTooMuch
	}
	t, err := htmltemplate.New("").Option("missingkey=error").Funcs(functions).Parse(source)
	if err != nil {
		return nil, explain(err)
	}
	if err := check(source, t.Tree, len(t.Templates())); err != nil {
		return nil, fmt.Errorf("check the template: %w", err)
	}
	return &Template{t}, nil
}

// Execute runs the template over data, a map by the names of the fields, whose values
// are texts, numbers, booleans and such maps. An error has code invalid and names the
// line. It is about a field that does not exist, or an output that is too long.
func (t *Template) Execute(data any) (string, error) {
	var out bounded
	if err := t.run.Execute(&out, data); err != nil {
		return "", explain(err)
	}
	return out.String(), nil
}

// bounded is a buffer that refuses to grow beyond MaxOutput.
type bounded struct{ bytes.Buffer }

var errTooLong = fmt.Errorf("the output has more than %d bytes", MaxOutput)

func (b *bounded) Write(p []byte) (int, error) {
	if b.Len()+len(p) > MaxOutput {
		return 0, errTooLong
	}
	return b.Buffer.Write(p)
}

var errTooMuch = usersync.Errorf(usersync.CodeInvalid, "must have at most %d bytes", MaxSource)

// check walks the tree of a parsed template. templates counts what the source
// defined, itself included.
func check(source string, tree *parse.Tree, templates int) error {
	switch {
	case tree == nil: // an empty template
		return nil
	case templates > 1:
		return usersync.Errorf(usersync.CodeInvalid, "must not define templates")
	}
	c := checker{source}
	return c.list(tree.Root)
}

// checker refuses every node that it does not know.
type checker struct{ source string }

func (c checker) refuse(n parse.Node, what string) error {
	line := 1 + strings.Count(c.source[:min(int(n.Position()), len(c.source))], "\n")
	return usersync.Errorf(usersync.CodeInvalid, "line %d: %s", line, what)
}

func (c checker) list(l *parse.ListNode) error {
	if l == nil {
		return nil
	}
	for _, n := range l.Nodes {
		if err := c.node(n); err != nil {
			return err
		}
	}
	return nil
}

func (c checker) node(n parse.Node) error {
	switch n := n.(type) {
	case *parse.TextNode, *parse.CommentNode:
		return nil
	case *parse.ActionNode:
		return c.pipe(n.Pipe)
	case *parse.IfNode:
		return errors.Join(c.pipe(n.Pipe), c.list(n.List), c.list(n.ElseList))
	}
	return c.refuse(n, "only fields, if/else and pipes may stand here")
}

func (c checker) pipe(p *parse.PipeNode) error {
	if len(p.Decl) > 0 {
		return c.refuse(p, "variables are not allowed")
	}
	for _, command := range p.Cmds {
		for _, arg := range command.Args {
			if err := c.argument(arg); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c checker) argument(n parse.Node) error {
	switch n := n.(type) {
	case *parse.FieldNode, *parse.StringNode, *parse.NumberNode, *parse.BoolNode:
		return nil
	case *parse.PipeNode:
		return c.pipe(n)
	case *parse.IdentifierNode:
		if functions[n.Ident] == nil && !builtins[n.Ident] {
			return c.refuse(n, "the function "+n.Ident+" is not allowed")
		}
		return nil
	}
	return c.refuse(n, "only fields, texts, numbers and functions may stand here")
}

var (
	parsePlace = regexp.MustCompile(`^(?:html/)?template: ?:(\d+)(?::\d+)?: (?:executing "" at )?`)
	noField    = regexp.MustCompile(`map has no entry for key "([^"]*)"`)
)

// explain turns the library's message into one for callers. It gives the line and the
// fault.
func explain(err error) error {
	text := err.Error()
	place := ""
	if m := parsePlace.FindStringSubmatch(text); m != nil {
		place, text = "line "+m[1]+": ", text[len(m[0]):]
	}
	if m := noField.FindStringSubmatch(text); m != nil {
		text = "there is no field ." + m[1]
	}
	if errors.Is(err, errTooLong) {
		text = errTooLong.Error()
	}
	return usersync.Errorf(usersync.CodeInvalid, "%s%s", place, text)
}
