package followups

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"

	"go.yaml.in/yaml/v3"

	"usersync/internal/followup"
	"usersync/internal/followup/catalog"
	"usersync/internal/store"
	"usersync/internal/usersync"
)

// Document is an export: follow-ups without what only this organization knows of them.
type Document struct {
	FollowUps []Input `json:"followUps"`
}

// The bounds of an import.
const (
	maxImported = 200 // follow-ups
	// maxNodes bounds the values of a document, of which each takes some 200 bytes.
	maxNodes = 50_000
	// maxYAMLDepth is how deep a document may nest.
	maxYAMLDepth = 50
	exportPage   = 50
)

// exported is a follow-up as it is exported.
type exported struct {
	followup.Definition
	Status string `json:"status"`
}

// Export writes all follow-ups as YAML, newest first.
func (s *Service) Export(ctx context.Context, org *store.Org, w io.Writer) error {
	head, before := "followUps:\n", ""
	for { //lint:loop follows a cursor, page by page
		page, err := catalog.List(ctx, org, before, exportPage)
		if err != nil {
			return fmt.Errorf("read a page: %w", err)
		}
		if before == "" && len(page) == 0 {
			head = "followUps: []\n"
		}
		if _, err := io.WriteString(w, head); err != nil {
			return fmt.Errorf("write the export: %w", err)
		}
		head = ""
		for _, f := range page {
			before = f.ID
			if err := writeYAML(w, f); err != nil {
				return fmt.Errorf("write follow-up %s: %w", f.ID, err)
			}
		}
		if len(page) < exportPage {
			return nil
		}
	}
}

// writeYAML writes one follow-up as an item of a list.
func writeYAML(w io.Writer, f catalog.FollowUp) error {
	text, err := json.Marshal(exported{f.Definition, f.Status})
	if err != nil {
		return fmt.Errorf("encode: %w", err)
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	item, err := nodeOf(d)
	if err != nil {
		return err
	}
	var out bytes.Buffer
	encoder := yaml.NewEncoder(&out)
	encoder.SetIndent(2)
	if err := encoder.Encode(&yaml.Node{Kind: yaml.SequenceNode, Content: []*yaml.Node{item}}); err != nil {
		return fmt.Errorf("encode as YAML: %w", err)
	}
	_, err = w.Write(out.Bytes())
	return err
}

// nodeOf reads a JSON value as a node of YAML, its members in their order.
func nodeOf(d *json.Decoder) (*yaml.Node, error) {
	token, err := d.Token()
	if err != nil {
		return nil, fmt.Errorf("read the JSON: %w", err)
	}
	switch token := token.(type) {
	case json.Delim:
		kind := yaml.MappingNode
		if token == '[' {
			kind = yaml.SequenceNode
		}
		return containerOf(d, kind)
	case string:
		// The library quotes what it or an older YAML takes for something else than a text.
		var n yaml.Node
		err := n.Encode(token)
		if token == "<<" { // but for this, which would be a merge
			n.Tag, n.Style = "!!str", yaml.DoubleQuotedStyle
		}
		return &n, err
	case json.Number:
		tag := "!!float"
		if _, err := strconv.ParseInt(token.String(), 10, 64); err == nil {
			tag = "!!int"
		}
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: tag, Value: token.String()}, nil
	case bool:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: strconv.FormatBool(token)}, nil
	}
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null", Value: "null"}, nil
}

func containerOf(d *json.Decoder, kind yaml.Kind) (*yaml.Node, error) {
	out := &yaml.Node{Kind: kind}
	for d.More() {
		one, err := nodeOf(d)
		if err != nil {
			return nil, err
		}
		out.Content = append(out.Content, one)
	}
	_, err := d.Token() // the closing bracket
	return out, err
}

// FromYAML returns a document of YAML as JSON. It takes what has a counterpart in JSON
// only: no anchors, aliases, tags or keys other than texts. The error has code invalid and
// names the line.
func FromYAML(text []byte) ([]byte, error) {
	if values := bytes.Count(text, []byte("\n")) + bytes.Count(text, []byte(",")) + bytes.Count(text, []byte("- ")) + bytes.Count(text, []byte("[")) + bytes.Count(text, []byte("{")); values > maxNodes {
		return nil, usersync.Errorf(usersync.CodeInvalid, "The document has too many values; split it.")
	}
	d := yaml.NewDecoder(bytes.NewReader(text))
	var document, more yaml.Node
	switch err := d.Decode(&document); {
	case errors.Is(err, io.EOF):
		return []byte("{}"), nil
	case err != nil:
		return nil, usersync.Errorf(usersync.CodeInvalid, "The document is no YAML: %s", faultOf(err))
	}
	if err := d.Decode(&more); !errors.Is(err, io.EOF) {
		return nil, usersync.Errorf(usersync.CodeInvalid, "There must be one document.")
	}
	var out bytes.Buffer
	err := writeJSON(&out, document.Content[0], 0)
	return out.Bytes(), err
}

// faultOf is what the library says, without its name and bounded.
func faultOf(err error) string {
	const most = 200
	text := bytes.ToValidUTF8(bytes.TrimPrefix([]byte(err.Error()), []byte("yaml: ")), nil)
	return string(text[:min(len(text), most)])
}

func refuse(n *yaml.Node, what string) error {
	return usersync.Errorf(usersync.CodeInvalid, "line %d: %s", n.Line, what)
}

func writeJSON(out *bytes.Buffer, n *yaml.Node, depth int) error {
	switch {
	case depth > maxYAMLDepth:
		return refuse(n, "values nest too deep")
	case n.Kind == yaml.AliasNode || n.Anchor != "":
		return refuse(n, "anchors and aliases are not taken")
	case n.Kind == yaml.MappingNode:
		return writeMapping(out, n, depth)
	case n.Kind == yaml.SequenceNode:
		out.WriteByte('[')
		for i, one := range n.Content {
			if i > 0 {
				out.WriteByte(',')
			}
			if err := writeJSON(out, one, depth+1); err != nil {
				return err
			}
		}
		out.WriteByte(']')
		return nil
	}
	return writeScalar(out, n)
}

func writeMapping(out *bytes.Buffer, n *yaml.Node, depth int) error {
	seen := map[string]bool{}
	out.WriteByte('{')
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		if key.Kind != yaml.ScalarNode || key.ShortTag() == "!!merge" {
			return refuse(key, "a key must be a text")
		}
		if seen[key.Value] {
			return refuse(key, "the key is there twice")
		}
		seen[key.Value] = true
		if i > 0 {
			out.WriteByte(',')
		}
		writeText(out, key.Value)
		out.WriteByte(':')
		if err := writeJSON(out, n.Content[i+1], depth+1); err != nil {
			return err
		}
	}
	out.WriteByte('}')
	return nil
}

func writeScalar(out *bytes.Buffer, n *yaml.Node) error {
	switch n.ShortTag() {
	case "!!str", "!!timestamp":
		writeText(out, n.Value)
	case "!!null":
		out.WriteString("null")
	case "!!bool":
		var b bool
		if err := n.Decode(&b); err != nil {
			return refuse(n, "must be true or false")
		}
		out.WriteString(strconv.FormatBool(b))
	case "!!int", "!!float":
		if !json.Valid([]byte(n.Value)) {
			return refuse(n, "a number must be written as in JSON; put a text into quotes")
		}
		out.WriteString(n.Value)
	default:
		return refuse(n, "tags are not taken")
	}
	return nil
}

func writeText(out *bytes.Buffer, s string) {
	text, _ := json.Marshal(s) // a text can always be written
	out.Write(text)
}

// Imported says what an import did.
type Imported struct {
	Created   int `json:"created"`
	Updated   int `json:"updated"`
	Unchanged int `json:"unchanged"`
	// Items are the follow-ups as they are now, in the order of the document.
	Items []catalog.FollowUp `json:"items"`
}

// Import takes all follow-ups of a document or none. One whose name a follow-up has
// changes that; the others are made.
func (s *Service) Import(ctx context.Context, actor string, org *store.Org, in Document) (Imported, error) {
	if len(in.FollowUps) == 0 || len(in.FollowUps) > maxImported {
		return Imported{}, invalid([]usersync.FieldError{{Field: "followUps", Message: fmt.Sprintf("must have 1 to %d follow-ups", maxImported)}})
	}
	connections, err := connections(ctx, org)
	if err != nil {
		return Imported{}, err
	}
	wanted, err := s.wanted(in, connections)
	if err != nil {
		return Imported{}, err
	}
	done, err := catalog.Put(ctx, org, actor, wanted)
	if err != nil {
		return Imported{}, err
	}
	out := Imported{Items: make([]catalog.FollowUp, len(done))}
	for i, d := range done {
		out.Items[i] = d.FollowUp
		switch d.Outcome {
		case catalog.Created:
			out.Created++
		case catalog.Updated:
			out.Updated++
		case catalog.Unchanged:
			out.Unchanged++
		}
	}
	return out, nil
}

// wanted checks each follow-up of a document. A fault names which one, and its place.
func (s *Service) wanted(in Document, connections known) ([]catalog.FollowUp, error) {
	out := make([]catalog.FollowUp, len(in.FollowUps))
	names := map[string]bool{}
	var faults []usersync.FieldError
	for i, one := range in.FollowUps {
		place := fmt.Sprintf("followUps[%d].", i)
		f := catalog.FollowUp{Status: catalog.Active}
		one.apply(&f)
		if err := s.check(&f, connections); err != nil {
			for _, fault := range usersync.AsError(err).Fields {
				faults = append(faults, usersync.FieldError{Field: place + fault.Field, Message: fault.Message})
			}
		}
		if names[f.Name] {
			faults = append(faults, usersync.FieldError{Field: place + "name", Message: "is that of another one"})
		}
		names[f.Name], out[i] = true, f
		if len(faults) > maxImportFaults {
			break
		}
	}
	if len(faults) > 0 {
		return nil, invalid(faults[:min(len(faults), maxImportFaults)])
	}
	return out, nil
}

// maxImportFaults bounds the faults that are told at once.
const maxImportFaults = 20
