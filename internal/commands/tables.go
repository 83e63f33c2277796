package commands

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// widest is how many characters of a cell are shown where another cell follows.
const widest = 60

// The escapes of a terminal that a table uses.
const (
	bold  = "\x1b[1m"
	red   = "\x1b[31m"
	green = "\x1b[32m"
	amber = "\x1b[33m"
	plain = "\x1b[0m"
)

// colours are those of statuses: of what is well, of what is not, and of what waits.
var colours = map[string]string{
	"succeeded": green, "active": green, "enabled": green, "delivered": green, "synced": green, "true": green,
	"failed": red, "disabled": red, "disconnected": red, "poisoned": red, "exhausted": red,
	"partially_succeeded": amber, "awaiting_credits": amber, "paused": amber, "skipped": amber, "waiting": amber,
}

// table prints a list as a table, and what is no list as a name and a value a line.
type table struct {
	out      io.Writer
	columns  []string
	coloured bool
	// widths are those of the columns so far: a later page may have wider cells.
	widths []int
}

func (t *table) page(items []json.RawMessage) error {
	if len(items) == 0 {
		return nil
	}
	var lines [][]string
	if t.widths == nil && len(t.columns) == 0 {
		if err := t.choose(items[0]); err != nil {
			return err
		}
	}
	for _, item := range items {
		node, err := parse(item)
		if err != nil {
			return err
		}
		lines = append(lines, cells(t.columns, flatten(node)))
	}
	begin := t.widths == nil
	if begin {
		var heads []string
		for _, column := range t.columns {
			heads = append(heads, heading(column))
		}
		lines = append([][]string{heads}, lines...)
		t.widths = make([]int, len(t.columns))
	}
	for _, line := range lines {
		t.widen(line)
	}
	for i, line := range lines {
		if err := t.print(line, begin && i == 0); err != nil {
			return err
		}
	}
	return nil
}

// choose takes the columns of an item where the command names none.
func (t *table) choose(item json.RawMessage) error {
	node, err := parse(item)
	if err != nil {
		return err
	}
	for _, f := range flatten(node) {
		t.columns = append(t.columns, f.name)
	}
	return nil
}

// heading writes createdAt as CREATED AT.
func heading(column string) string {
	var out strings.Builder
	for i, r := range column {
		if unicode.IsUpper(r) && i > 0 || r == '.' {
			out.WriteByte(' ')
		}
		if r != '.' {
			out.WriteRune(unicode.ToUpper(r))
		}
	}
	return out.String()
}

// cells returns what the columns show of what was found.
func cells(columns []string, found []field) []string {
	out := make([]string, len(columns))
	for i, column := range columns {
		for _, f := range found {
			if f.name == column {
				out[i] = f.value
			}
		}
	}
	return out
}

func (t *table) widen(line []string) {
	for i, cell := range line {
		t.widths[i] = min(max(t.widths[i], utf8.RuneCountInString(cell)), widest)
	}
}

func (t *table) print(line []string, isHead bool) error {
	var out strings.Builder
	for i, cell := range line {
		last := i == len(line)-1
		padding := ""
		if !last {
			cell = shortened(cell)
			padding = strings.Repeat(" ", t.widths[i]-utf8.RuneCountInString(cell)+2)
		}
		colour := colours[cell]
		if isHead {
			colour = bold
		}
		out.WriteString(t.paint(colour, cell) + padding)
	}
	_, err := fmt.Fprintln(t.out, strings.TrimRight(out.String(), " "))
	return err
}

func (t *table) paint(colour, text string) string {
	if !t.coloured || colour == "" {
		return text
	}
	return colour + text + plain
}

func shortened(cell string) string {
	if utf8.RuneCountInString(cell) <= widest {
		return cell
	}
	return string([]rune(cell)[:widest-1]) + "…"
}

func (t *table) end() error {
	if t.widths != nil {
		return nil
	}
	_, err := io.WriteString(t.out, "nothing\n")
	return err
}

func (t *table) one(text []byte) error {
	node, err := parse(text)
	if err != nil {
		return err
	}
	found := flatten(node)
	width := 0
	for _, f := range found {
		width = max(width, utf8.RuneCountInString(f.name))
	}
	for _, f := range found {
		padding := strings.Repeat(" ", width-utf8.RuneCountInString(f.name)+2)
		if _, err := fmt.Fprintln(t.out, t.paint(bold, f.name)+padding+t.paint(colours[f.value], f.value)); err != nil {
			return err
		}
	}
	return nil
}

// field is a value and its place, as in steps[0].status.
type field struct{ name, value string }

// flatten returns the values of a tree in order. A list of plain values is one value.
func flatten(node *yaml.Node) []field {
	var out []field
	walk(node, "", &out)
	return out
}

func walk(node *yaml.Node, name string, out *[]field) {
	switch {
	case node.Kind == yaml.MappingNode:
		for i := 0; i+1 < len(node.Content); i += 2 {
			inner := node.Content[i].Value
			if name != "" {
				inner = name + "." + inner
			}
			walk(node.Content[i+1], printable(inner), out)
		}
	case node.Kind == yaml.SequenceNode && isPlain(node):
		var values []string
		for _, item := range node.Content {
			values = append(values, printable(item.Value))
		}
		*out = append(*out, field{name, strings.Join(values, ", ")})
	case node.Kind == yaml.SequenceNode:
		for i, item := range node.Content {
			walk(item, fmt.Sprintf("%s[%d]", name, i), out)
		}
	case node.Tag == "!!null":
		*out = append(*out, field{name, ""})
	default:
		*out = append(*out, field{name, printable(node.Value)})
	}
}

func isPlain(list *yaml.Node) bool {
	for _, item := range list.Content {
		if item.Kind != yaml.ScalarNode {
			return false
		}
	}
	return true
}

// printable keeps what people and platforms wrote from commanding the terminal, and in one
// line.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '·'
	}, text)
}
