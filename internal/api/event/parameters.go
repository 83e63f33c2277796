package event

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"

	"usersync/internal/api"
	"usersync/internal/user"
	"usersync/internal/usersync"
)

// The bounds of what is said with an event: those of a user in other dialects.
const (
	maxParameters = user.MaxMembers // values, also those within others
	maxName       = user.MaxName    // characters of a name, with those that it is within
	maxText       = user.MaxValue
	maxShort      = user.MaxField
	maxDigits     = user.MaxDigits
	// maxDepth bounds how deep values nest.
	maxDepth = 8
	// maxPairs bounds the pairs of a form, as PHP does.
	maxPairs = 1000
)

// The media types of a body.
const (
	mediaJSON = "application/json"
	mediaForm = "application/x-www-form-urlencoded"
)

// sent is what a call says.
type sent struct {
	// values are texts, json.Numbers, booleans, nil, lists and such maps.
	values map[string]any
	// user is the one that the event tells of; nil where it tells of none.
	user *usersync.UserInput
}

// readSent reads the body of a call.
func readSent(c *api.Call) (*sent, error) {
	body, err := c.Body()
	if err != nil {
		return nil, fmt.Errorf("receive the body: %w", err)
	}
	read := readForm
	mediaType, _, _ := strings.Cut(c.Request().Header.Get("Content-Type"), ";")
	if strings.EqualFold(strings.TrimSpace(mediaType), mediaJSON) {
		read = readJSON
	}
	values, err := read(body)
	if err != nil {
		return nil, err
	}
	flat := map[string]any{}
	flatten(flat, "", values)
	return &sent{values: values}, checkSize(flat)
}

func invalid(name, fault string) error {
	return usersync.Errorf(usersync.CodeInvalid, "Invalid parameter: %s %s", shown(name), fault)
}

// shown is a caller's own name in a message.
func shown(name string) string {
	if len(name) <= maxName {
		return name
	}
	return strings.ToValidUTF8(name[:maxName], "") + "…"
}

// checkSize refuses more than an event may say.
func checkSize(flat map[string]any) error {
	if len(flat) > maxParameters {
		return usersync.Errorf(usersync.CodeInvalid, "Too many parameters: there may be %d.", maxParameters)
	}
	size := 0
	for name, value := range flat {
		if name == "" || utf8.RuneCountInString(name) > maxName {
			return invalid(name, fmt.Sprintf("must have a name of 1 to %d characters", maxName))
		}
		size += len(name) + sizeOf(value)
	}
	if size > usersync.MaxAttributes {
		return usersync.Errorf(usersync.CodeInvalid, "The parameters may have %d bytes together.", usersync.MaxAttributes)
	}
	return nil
}

func sizeOf(value any) (n int) {
	switch v := value.(type) {
	case string:
		return len(v)
	case json.Number:
		return len(v)
	case []any:
		for _, one := range v {
			n += 1 + sizeOf(one)
		}
	case map[string]any:
		for name, one := range v {
			n += len(name) + sizeOf(one)
		}
	}
	return n + 8
}

// text returns a parameter, "" where it is no text.
func (in *sent) text(name string) string {
	text, _ := in.values[name].(string)
	return text
}

// require refuses a call without a parameter. One without a value is missing too.
func (in *sent) require(names ...string) error {
	for _, name := range names {
		if v := in.values[name]; v == nil || v == "" {
			return usersync.Errorf(usersync.CodeInvalid, "Missing parameter: %s", name)
		}
	}
	return nil
}

// name returns a part of a person's name, and whether anything was said of it.
func (in *sent) name(parameter string) (text string, said bool, err error) {
	value, said := in.values[parameter]
	switch v := value.(type) {
	case nil:
	case string:
		text = strings.TrimSpace(v)
	default:
		return "", said, invalid(parameter, "must be a text")
	}
	if utf8.RuneCountInString(text) > maxShort {
		return "", said, invalid(parameter, "must have at most "+strconv.Itoa(maxShort)+" characters")
	}
	return text, said, nil
}

// attributes returns what is kept with the event. The address is not: who has it is kept
// by their id.
func (in *sent) attributes() map[string]any {
	out := make(map[string]any, len(in.values))
	for name, value := range in.values {
		if name != emailParameter {
			out[name] = value
		}
	}
	return out
}

// readJSON reads an object.
func readJSON(body []byte) (map[string]any, error) {
	if len(body) == 0 {
		return map[string]any{}, nil
	}
	r := api.NewReader(body)
	values := readObject(r, 1)
	if err := r.End(); err != nil {
		return nil, usersync.Errorf(usersync.CodeInvalid, "%s", usersync.AsError(err).Message)
	}
	return values, nil
}

func readObject(r *api.Reader, depth int) map[string]any {
	out := map[string]any{}
	for name := range r.Object() {
		out[name] = readValue(r, depth+1)
	}
	return out
}

func readValue(r *api.Reader, depth int) any {
	if depth > maxDepth {
		r.Wrong("nests deeper than " + strconv.Itoa(maxDepth))
		r.Skip()
		return nil
	}
	switch r.Kind() {
	case api.KindString:
		text := r.Text()
		if len(text) > maxText {
			r.Wrong("must have at most " + strconv.Itoa(maxText) + " bytes")
		}
		return text
	case api.KindNumber:
		return r.Digits(maxDigits)
	case api.KindBool:
		return r.Bool()
	case api.KindObject:
		return readObject(r, depth)
	case api.KindArray:
		list := []any{}
		for range r.Array() {
			list = append(list, readValue(r, depth+1))
		}
		return list
	default:
		r.Skip()
		return nil
	}
}

// readForm reads a form as PHP does: data[size]=42 is size within data, and tags[]=a or
// tags[0]=a an element of the list tags.
func readForm(body []byte) (map[string]any, error) {
	root := map[string]any{}
	if len(body) == 0 {
		return root, nil
	}
	pairs := strings.Split(string(body), "&")
	if len(pairs) > maxPairs {
		return nil, usersync.Errorf(usersync.CodeInvalid, "Too many parameters: there may be %d.", maxParameters)
	}
	for i, pair := range pairs {
		if pair == "" {
			continue
		}
		name, value, err := readPair(pair)
		if err != nil {
			return nil, usersync.Errorf(usersync.CodeInvalid, "Malformed form at parameter %d: %v", i+1, err)
		}
		path, ok := pathOf(name)
		if !ok {
			return nil, invalid(name, "must have its brackets closed, and nothing behind them")
		}
		if err := put(root, path, value); err != nil {
			return nil, invalid(name, err.Error())
		}
	}
	for name, value := range root {
		root[name] = withLists(value)
	}
	return root, nil
}

// readPair decodes name and value.
func readPair(pair string) (name, value string, err error) {
	name, value, _ = strings.Cut(pair, "=")
	for _, part := range []*string{&name, &value} {
		text, err := url.QueryUnescape(*part)
		switch {
		case err != nil:
			return "", "", fmt.Errorf("a %% must be followed by two hexadecimal digits")
		case !utf8.ValidString(text):
			return "", "", fmt.Errorf("it is not UTF-8")
		case strings.IndexByte(text, 0) >= 0:
			return "", "", fmt.Errorf("it holds NUL")
		}
		*part = text
	}
	if len(value) > maxText {
		return "", "", fmt.Errorf("a value may have %d bytes", maxText)
	}
	return name, value, nil
}

// pathOf splits data[size] into data and size. An empty element is the next of a list.
func pathOf(name string) (path []string, ok bool) {
	first, rest, bracketed := strings.Cut(name, "[")
	path = []string{first}
	if !bracketed {
		return path, !strings.Contains(name, "]")
	}
	for bracketed {
		element, behind, closed := strings.Cut(rest, "]")
		if !closed || strings.Contains(element, "[") {
			return nil, false
		}
		path = append(path, element)
		if rest, bracketed = strings.CutPrefix(behind, "["); !bracketed && behind != "" {
			return nil, false
		}
	}
	return path, true
}

// put stores a value in its place. Of two values in one place the last counts.
func put(at map[string]any, path []string, value string) error {
	if len(path) > maxDepth {
		return fmt.Errorf("nests deeper than %d", maxDepth)
	}
	for i, element := range path {
		if element == "" && i > 0 {
			element = strconv.Itoa(len(at))
		}
		before, there := at[element]
		beneath, isMap := before.(map[string]any)
		switch last := i == len(path)-1; {
		case there && last == isMap:
			return fmt.Errorf("is given both as a value and with brackets")
		case last:
			at[element] = value
		case isMap:
			at = beneath
		default:
			beneath = map[string]any{}
			at[element] = beneath
			at = beneath
		}
	}
	return nil
}

// withLists returns a value in which maps from 0 on are lists.
func withLists(value any) any {
	m, ok := value.(map[string]any)
	if !ok {
		return value
	}
	list := make([]any, 0, len(m))
	for i := range len(m) {
		one, there := m[strconv.Itoa(i)]
		if !there {
			break
		}
		list = append(list, withLists(one))
	}
	if len(list) == len(m) {
		return list
	}
	for name, one := range m {
		m[name] = withLists(one)
	}
	return m
}
