// Package template runs the templates that organizations write. They are Go's
// text/template, restricted on the parsed tree to text, fields, if/else, pipes and a
// few functions. A template can neither loop nor call others, so it always ends, and
// it reads only the data that it is given. Every value that it makes on the way, shown
// or not, is charged to one budget.
package template

import (
	"bytes"
	"errors"
	"fmt"
	htmltemplate "html/template"
	"io"
	"regexp"
	"slices"
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
	// spending returns the template with functions that charge a budget.
	spending func(b *budget) (executor, error)
	// shown is that of its budgets.
	shown int
	// proof checks the output. It is nil where every text will do.
	proof func(output string) error
}

// executor is a template of either library.
type executor interface {
	Execute(w io.Writer, data any) error
}

// builtins are those of Go's own functions that a template may call, because they
// only compare. What is compared is charged.
var builtins = map[string]bool{"and": true, "or": true, "not": true, "eq": true, "ne": true}

// ParseText checks a template whose output is plain text. Errors have code
// invalid and name the line.
func ParseText(source string) (*Template, error) {
	if len(source) > MaxSource {
		return nil, errTooMuch
	}
	t, err := template.New("").Option("missingkey=error").Funcs(new(budget).functions()).Parse(source)
	if err != nil {
		return nil, explain(err)
	}
	if err := check(source, anyText, t.Tree, len(t.Templates())); err != nil {
		return nil, fmt.Errorf("check the template: %w", err)
	}
	return &Template{spending: func(b *budget) (executor, error) {
		own, err := t.Clone()
		if err != nil {
			return nil, fmt.Errorf("copy the template: %w", err)
		}
		return own.Funcs(b.functions()), nil
	}, shown: 1}, nil
}

// ParseHTML checks a template whose output is HTML. Inserted values are escaped for
// the place where they stand. Errors are those of ParseText.
func ParseHTML(source string) (*Template, error) {
	if len(source) > MaxSource {
		return nil, errTooMuch
	}
	t, err := htmltemplate.New("").Option("missingkey=error").Funcs(new(budget).functions()).Parse(source)
	if err != nil {
		return nil, explain(err)
	}
	if err := check(source, anyText, t.Tree, len(t.Templates())); err != nil {
		return nil, fmt.Errorf("check the template: %w", err)
	}
	return &Template{spending: func(b *budget) (executor, error) {
		own, err := t.Clone()
		if err != nil {
			return nil, fmt.Errorf("copy the template: %w", err)
		}
		return own.Funcs(b.functions()), nil
	}, shown: escapedHTML}, nil
}

// Execute runs the template over data, a map by the names of the fields, whose values
// are texts, numbers, booleans, lists and such maps. An error has code invalid and names
// the line. It is about a field that does not exist, an output that is too long, or a
// budget that is spent.
func (t *Template) Execute(data any) (string, error) {
	run, err := t.spending(&budget{left: MaxMade, shown: t.shown})
	if err != nil {
		return "", err
	}
	var out bounded
	if err := run.Execute(&out, data); err != nil {
		return "", explain(err)
	}
	if t.proof != nil {
		if err := t.proof(out.String()); err != nil {
			return "", err
		}
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

// maxDepth bounds how deep ifs and parentheses nest. An else-if nests in the if before.
const maxDepth = 100

// check walks the tree of a parsed template. templates counts what the source
// defined, itself included.
func check(source string, f form, tree *parse.Tree, templates int) error {
	switch {
	case tree == nil: // an empty template
		return nil
	case templates > 1:
		return usersync.Errorf(usersync.CodeInvalid, "must not define templates")
	}
	c := checker{source: source, form: f}
	end, err := c.list(tree.Root, f.start)
	if err == nil && end != f.start && f.open[end] != "" {
		err = usersync.Errorf(usersync.CodeInvalid, "%s", f.open[end])
	}
	return err
}

// checker refuses every node that it does not know.
type checker struct {
	source string
	form   form
	depth  int
}

func (c checker) refuse(n parse.Node, what string) error {
	line := 1 + strings.Count(c.source[:min(int(n.Position()), len(c.source))], "\n")
	return usersync.Errorf(usersync.CodeInvalid, "line %d: %s", line, what)
}

// list checks the nodes of a list that begins in one state of the form, and returns that
// in which it ends.
func (c checker) list(l *parse.ListNode, now state) (state, error) {
	if l == nil {
		return now, nil
	}
	for _, n := range l.Nodes {
		next, err := c.node(n, now)
		if err != nil {
			return now, err
		}
		now = next
	}
	return now, nil
}

func (c checker) node(n parse.Node, now state) (state, error) {
	switch n := n.(type) {
	case *parse.TextNode:
		return c.form.after(now, n.Text), nil
	case *parse.CommentNode:
		return now, nil
	case *parse.ActionNode:
		return now, c.show(n, now)
	case *parse.IfNode:
		return c.branch(n, now)
	}
	return now, c.refuse(n, "only fields, if/else and pipes may stand here")
}

func (c checker) show(n *parse.ActionNode, now state) error {
	command, ok := c.form.show(n, now)
	if !ok {
		return c.refuse(n, "nothing may be inserted here")
	}
	err := c.pipe(n.Pipe)
	n.Pipe.Cmds = append(n.Pipe.Cmds, command)
	return err
}

func (c checker) branch(n *parse.IfNode, now state) (state, error) {
	if c.depth++; c.depth > maxDepth {
		return now, c.refuse(n, fmt.Sprintf("ifs nest deeper than %d", maxDepth))
	}
	if err := c.pipe(n.Pipe); err != nil {
		return now, err
	}
	end, err := c.list(n.List, now)
	if err != nil {
		return now, err
	}
	other, err := c.list(n.ElseList, now)
	if err == nil && other != end {
		err = c.refuse(n, "an if and its else must both end "+c.form.places)
	}
	return end, err
}

// pipe checks a pipe and has it charge what it compares.
func (c checker) pipe(p *parse.PipeNode) error {
	if c.depth++; c.depth > maxDepth {
		return c.refuse(p, fmt.Sprintf("parentheses nest deeper than %d", maxDepth))
	}
	if len(p.Decl) > 0 {
		return c.refuse(p, "variables are not allowed")
	}
	quoted := false // by a command before
	commands := make([]*parse.CommandNode, 0, len(p.Cmds))
	for _, command := range p.Cmds {
		for _, arg := range command.Args {
			if err := c.argument(arg); err != nil {
				return err
			}
		}
		if calls(command, "json") && (quoted || slices.ContainsFunc(command.Args[1:], quotes)) {
			return c.refuse(command, "json may not be applied to what json has written")
		}
		quoted = quoted || quotes(command)
		if calls(command, "eq") || calls(command, "ne") {
			if len(commands) > 0 {
				commands = append(commands, call(chargedName, command.Pos))
			}
			chargeArguments(command)
		}
		commands = append(commands, command)
	}
	p.Cmds = commands
	return nil
}

// calls reports whether a command calls the function.
func calls(c *parse.CommandNode, function string) bool {
	name, ok := c.Args[0].(*parse.IdentifierNode)
	return ok && name.Ident == function
}

// quotes reports whether a command or an argument calls json.
func quotes(n parse.Node) bool {
	switch n := n.(type) {
	case *parse.PipeNode:
		return slices.ContainsFunc(n.Cmds, func(c *parse.CommandNode) bool { return quotes(c) })
	case *parse.CommandNode:
		return calls(n, "json") || slices.ContainsFunc(n.Args, quotes)
	}
	return false
}

// chargeArguments turns eq .a .b into eq (.a | charged) (.b | charged).
func chargeArguments(c *parse.CommandNode) {
	for i, arg := range c.Args[1:] {
		itself := &parse.CommandNode{NodeType: parse.NodeCommand, Pos: c.Pos, Args: []parse.Node{arg}}
		c.Args[1+i] = &parse.PipeNode{NodeType: parse.NodePipe, Pos: c.Pos, Cmds: []*parse.CommandNode{itself, call(chargedName, c.Pos)}}
	}
}

// call is a command of a pipe that calls one of the functions that only charge.
func call(function string, at parse.Pos) *parse.CommandNode {
	return &parse.CommandNode{NodeType: parse.NodeCommand, Pos: at, Args: []parse.Node{parse.NewIdentifier(function).SetPos(at)}}
}

func (c checker) argument(n parse.Node) error {
	switch n := n.(type) {
	case *parse.FieldNode:
		if c.form.roots != nil && !slices.Contains(c.form.roots, n.Ident[0]) {
			return c.refuse(n, "there is no field ."+n.Ident[0]+"; there are ."+strings.Join(c.form.roots, ", ."))
		}
		return nil
	case *parse.StringNode, *parse.NumberNode, *parse.BoolNode:
		return nil
	case *parse.PipeNode:
		return c.pipe(n)
	case *parse.IdentifierNode:
		if !allowed[n.Ident] && !builtins[n.Ident] {
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

// maxMessage bounds what of the library's message is told, in bytes.
const maxMessage = 300

// explain turns the library's message into one for callers. It gives the line and the
// fault, and no value of the data.
func explain(err error) error {
	text := err.Error()
	place := ""
	if m := parsePlace.FindStringSubmatch(text); m != nil {
		place, text = "line "+m[1]+": ", text[len(m[0]):]
	}
	if m := noField.FindStringSubmatch(text); m != nil {
		text = "there is no field ." + m[1]
	}
	if strings.Contains(text, ": non-comparable type ") { // the value follows
		text = "maps and lists cannot be compared"
	}
	for _, bound := range []error{errTooLong, errSpent} {
		if errors.Is(err, bound) {
			text = bound.Error()
		}
	}
	if none, ok := errors.AsType[noValueError](err); ok {
		text = none.Error()
	}
	text = strings.NewReplacer(" | "+chargedName, "", " | "+shownName, "").Replace(text[:min(len(text), maxMessage)])
	return usersync.Errorf(usersync.CodeInvalid, "%s%s", place, strings.ToValidUTF8(text, ""))
}
