package commands

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"usersync/internal/app"
)

// printer prints a list as it comes, and a single thing.
type printer interface {
	// page prints the next items of a list.
	page(items []json.RawMessage) error
	// end ends a list.
	end() error
	// one prints what is no list.
	one(text []byte) error
}

// printerOf returns the printer that --output of a command asks for.
func printerOf(c *cobra.Command) (printer, error) {
	out := c.OutOrStdout()
	asked, _ := c.Flags().GetString("output")
	file, isFile := out.(*os.File)
	terminal := isFile && app.IsTerminal(file)
	if asked == "" {
		asked = "json"
		if terminal {
			asked = "table"
		}
	}
	switch asked {
	case "json":
		return &jsonPrinter{out: out}, nil
	case "yaml":
		return &yamlPrinter{out: out}, nil
	case "table":
		t := &table{out: out, columns: strings.Fields(c.Annotations[annotation])}
		t.coloured = terminal && os.Getenv("NO_COLOR") == ""
		return t, nil
	}
	return nil, Misused(fmt.Errorf("--output is %q; expected table, json or yaml", asked))
}

// Print prints a value as a command's --output asks for.
func Print(c *cobra.Command, value any) error {
	print, err := printerOf(c)
	if err != nil {
		return err
	}
	text, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("encode the answer: %w", err)
	}
	return printValue(print, text)
}

// printValue prints JSON: an array as a list.
func printValue(print printer, text []byte) error {
	if !bytes.HasPrefix(bytes.TrimSpace(text), []byte("[")) {
		return print.one(text)
	}
	var items []json.RawMessage
	if err := json.Unmarshal(text, &items); err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	if err := print.page(items); err != nil {
		return err
	}
	return print.end()
}

// jsonPrinter prints a list as one array.
type jsonPrinter struct {
	out   io.Writer
	begun bool
}

func (p *jsonPrinter) page(items []json.RawMessage) error {
	for _, item := range items {
		var text bytes.Buffer
		text.WriteString(",\n  ")
		if !p.begun {
			text.Reset()
			text.WriteString("[\n  ")
			p.begun = true
		}
		if err := json.Indent(&text, item, "  ", "  "); err != nil {
			return fmt.Errorf("read the answer: %w", err)
		}
		if _, err := p.out.Write(text.Bytes()); err != nil {
			return err
		}
	}
	return nil
}

func (p *jsonPrinter) end() error {
	text := "\n]\n"
	if !p.begun {
		text = "[]\n"
	}
	_, err := io.WriteString(p.out, text)
	return err
}

func (p *jsonPrinter) one(text []byte) error {
	var indented bytes.Buffer
	if err := json.Indent(&indented, bytes.TrimSpace(text), "", "  "); err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	indented.WriteByte('\n')
	_, err := p.out.Write(indented.Bytes())
	return err
}

// yamlPrinter prints a list as one sequence.
type yamlPrinter struct {
	out   io.Writer
	begun bool
}

func (p *yamlPrinter) page(items []json.RawMessage) error {
	for _, item := range items {
		p.begun = true
		node, err := parse(item)
		if err != nil {
			return err
		}
		if err := p.write(&yaml.Node{Kind: yaml.SequenceNode, Content: []*yaml.Node{node}}); err != nil {
			return err
		}
	}
	return nil
}

func (p *yamlPrinter) end() error {
	if p.begun {
		return nil
	}
	_, err := io.WriteString(p.out, "[]\n")
	return err
}

func (p *yamlPrinter) one(text []byte) error {
	node, err := parse(text)
	if err != nil {
		return err
	}
	return p.write(node)
}

func (p *yamlPrinter) write(node *yaml.Node) error {
	encoder := yaml.NewEncoder(p.out)
	encoder.SetIndent(2)
	if err := encoder.Encode(node); err != nil {
		return fmt.Errorf("write the answer: %w", err)
	}
	return encoder.Close()
}

// parse reads JSON as a tree whose members keep their order, in the style of YAML.
func parse(text []byte) (*yaml.Node, error) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	node, err := parseNext(decoder)
	if err != nil {
		return nil, fmt.Errorf("read the answer: %w", err)
	}
	return node, nil
}

func parseNext(decoder *json.Decoder) (*yaml.Node, error) {
	token, err := decoder.Token()
	if err != nil {
		return nil, err
	}
	switch token := token.(type) {
	case json.Delim:
		kind := yaml.SequenceNode
		if token == '{' {
			kind = yaml.MappingNode
		}
		node := &yaml.Node{Kind: kind}
		for decoder.More() { // the names of members are tokens of their own
			inner, err := parseNext(decoder)
			if err != nil {
				return nil, err
			}
			node.Content = append(node.Content, inner)
		}
		_, err := decoder.Token() // the end of it
		return node, err
	case string:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: token}, nil
	case json.Number:
		return &yaml.Node{Kind: yaml.ScalarNode, Value: token.String()}, nil
	case bool:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: fmt.Sprint(token)}, nil
	}
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null", Value: "null"}, nil
}
