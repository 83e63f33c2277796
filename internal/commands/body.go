package commands

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"usersync/internal/management/followups"
)

// call is what is sent to a service.
type call struct {
	method, path string
	query        url.Values
	prefer       string
	content      string // Content-Type; "" without a body
	body         []byte
	// stream is the body instead, where it is too large to keep.
	stream io.Reader
}

// callOf makes the call of what was typed.
func (o operation) callOf(c *cobra.Command, args []string) (call, error) {
	made := call{method: o.method(), path: o.path(), query: url.Values{}}
	if len(args) < len(o.args) {
		made.path = o.own
	}
	members := map[string]any{}
	names := o.parameters()
	for i, arg := range args {
		if i < len(names) {
			made.path = strings.ReplaceAll(made.path, "{"+names[i]+"}", url.PathEscape(arg))
			continue
		}
		if err := o.put(&made, members, o.args[i], arg); err != nil {
			return call{}, err
		}
	}
	for _, f := range o.flags {
		if !c.Flags().Changed(f.name) {
			continue
		}
		switch value := f.value(c); f.in {
		case inQuery:
			made.query.Set(f.to, fmt.Sprint(value))
		case inPrefer:
			made.prefer = fmt.Sprint(f.to, "=", value)
		case inBody:
			setMember(members, f.to, value)
		}
	}
	return made, o.fill(c, &made, args, members)
}

// put puts an argument where the table says.
func (o operation) put(made *call, members map[string]any, where, value string) error {
	name, to, _ := strings.Cut(where, "=")
	if to == "" {
		return nil // FILE
	}
	if parameter, ok := strings.CutPrefix(to, "?"); ok {
		made.query.Set(parameter, value)
		return nil
	}
	to, isNumber := strings.CutPrefix(to, "#")
	if !isNumber {
		setMember(members, to, value)
		return nil
	}
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil {
		return Misused(fmt.Errorf("%s is %q; expected a whole number", name, value))
	}
	setMember(members, to, n)
	return nil
}

// value is what a flag that was given sends.
func (f flag) value(c *cobra.Command) any {
	switch f.kind {
	case list:
		items, _ := c.Flags().GetStringSlice(f.name)
		return items
	case number:
		n, _ := c.Flags().GetInt64(f.name)
		return n
	case duration:
		return f.length(c).String()
	case ahead:
		return time.Now().Add(f.length(c)).UTC().Format(time.RFC3339)
	case seconds:
		return int(f.length(c).Seconds())
	default:
		return c.Flags().Lookup(f.name).Value.String()
	}
}

func (f flag) length(c *cobra.Command) time.Duration {
	l, _ := c.Flags().Lookup(f.name).Value.(*Length)
	return time.Duration(*l)
}

// setMember sets a member of an object, or of objects in it: a.b is the member b of a.
func setMember(members map[string]any, path string, value any) {
	name, rest, nested := strings.Cut(path, ".")
	if !nested {
		members[name] = value
		return
	}
	inner, ok := members[name].(map[string]any)
	if !ok {
		inner = map[string]any{}
		members[name] = inner
	}
	setMember(inner, rest, value)
}

// fill gives a call its body.
func (o operation) fill(c *cobra.Command, made *call, args []string, members map[string]any) error {
	switch o.body {
	case nothing:
		return nil
	case document:
		made.content = "application/yaml"
		var err error
		made.body, err = readFile(c, "FILE", args[len(args)-1])
		return err
	case rows:
		return o.upload(c, made, args[len(args)-1])
	}
	return o.encode(c, made, members)
}

// encode makes the body of --body and the members.
func (o operation) encode(c *cobra.Command, made *call, members map[string]any) error {
	all := map[string]any{}
	name, _ := c.Flags().GetString("body")
	if name == "" && len(members) == 0 {
		if o.body == optional {
			return nil
		}
		return Misused(errors.New("there is nothing to send; expected --body FILE, --body - for the standard input, or flags"))
	}
	if name != "" {
		text, err := readFile(c, "--body", name)
		if err != nil {
			return err
		}
		if all, err = readObject(text); err != nil {
			return Misused(fmt.Errorf("--body %s: %w", name, err))
		}
	}
	merge(all, members)
	made.content = "application/json"
	var err error
	made.body, err = json.Marshal(all)
	return err
}

// readObject reads an object that is JSON or YAML. Numbers keep their digits.
func readObject(text []byte) (map[string]any, error) {
	if !json.Valid(text) {
		encoded, err := followups.FromYAML(text)
		if err != nil {
			return nil, fmt.Errorf("expected an object as JSON or YAML: %w", err)
		}
		text = encoded
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var object map[string]any
	if err := decoder.Decode(&object); err != nil || object == nil {
		return nil, errors.New("expected an object, such as {\"name\": …}")
	}
	return object, nil
}

// merge puts members into an object, and those of objects in it into theirs.
func merge(into, members map[string]any) {
	for name, value := range members {
		inner, isObject := value.(map[string]any)
		old, wasObject := into[name].(map[string]any)
		if isObject && wasObject {
			merge(old, inner)
			continue
		}
		into[name] = value
	}
}

// maxBody bounds a body that is read from a file, in bytes. No call takes more.
const maxBody = 16 << 20

// readFile reads a file that the flag or argument what names; - is the standard input.
func readFile(c *cobra.Command, what, name string) ([]byte, error) {
	in := c.InOrStdin()
	if name != "-" {
		f, err := os.Open(name) //nolint:gosec // the person names it
		if err != nil {
			return nil, Misused(fmt.Errorf("%s: %w", what, err))
		}
		defer func() { _ = f.Close() }()
		in = f
	}
	text, err := io.ReadAll(io.LimitReader(in, maxBody+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", what, err)
	}
	if len(text) > maxBody {
		return nil, Misused(fmt.Errorf("%s %s has more than %d bytes", what, name, maxBody))
	}
	return text, nil
}

// upload has a call send a file as it is read.
func (o operation) upload(c *cobra.Command, made *call, name string) error {
	format, _ := c.Flags().GetString("format")
	if format == "" {
		format = strings.TrimPrefix(strings.ToLower(filepath.Ext(name)), ".")
	}
	switch format {
	case "ndjson", "jsonl":
		made.content = "application/x-ndjson"
	case "csv", "", "txt", "tsv":
		made.content = "text/csv"
	default:
		return Misused(fmt.Errorf("the format %q is none of files of people; expected --format csv or ndjson", format))
	}
	if name == "-" {
		made.stream = c.InOrStdin()
		return nil
	}
	f, err := os.Open(name) //nolint:gosec // the person names it
	if err != nil {
		return Misused(fmt.Errorf("FILE: %w", err))
	}
	made.stream = f // the transport closes it
	return nil
}
