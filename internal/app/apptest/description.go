package apptest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/getkin/kin-openapi/openapi3"

	"usersync/internal/api/openapi"
)

// Description is the description of the API, with which answers are compared.
type Description struct {
	doc       *openapi3.T
	schemas   *schemas
	unmatched []unmatched
}

// unmatched says which response answers a call that no operation answers, by status.
type unmatched struct {
	prefix    string
	responses map[string]string
}

// Describe loads and validates the description, once for all tests.
var Describe = sync.OnceValues(func() (*Description, error) { return loadDescription(openapi.Document) })

func loadDescription(text []byte) (*Description, error) {
	doc, err := openapi3.NewLoader().LoadFromData(text)
	if err != nil {
		return nil, err
	}
	if err := doc.Validate(context.Background()); err != nil {
		return nil, err
	}
	d := &Description{doc: doc}
	if d.schemas, err = newSchemas(doc); err != nil {
		return nil, err
	}
	return d, d.loadUnmatched()
}

// loadUnmatched reads x-unmatched, longest prefix first.
func (d *Description) loadUnmatched() error {
	text, err := json.Marshal(d.doc.Extensions["x-unmatched"])
	if err != nil {
		return err
	}
	var list []map[string]string
	if err := json.Unmarshal(text, &list); err != nil {
		return err
	}
	for _, entry := range list {
		prefix := entry["prefix"]
		delete(entry, "prefix")
		for _, name := range entry {
			if d.doc.Components.Responses[name] == nil {
				return fmt.Errorf("x-unmatched names the response %s, which is not there", name)
			}
		}
		d.unmatched = append(d.unmatched, unmatched{prefix, entry})
	}
	slices.SortFunc(d.unmatched, func(a, b unmatched) int { return len(b.prefix) - len(a.prefix) })
	return nil
}

// Routes returns the described routes, as "GET /v1/requests/{requestId}".
func (d *Description) Routes() []string {
	var routes []string
	for path, item := range d.doc.Paths.Map() {
		for method := range item.Operations() {
			routes = append(routes, method+" "+path)
		}
	}
	slices.Sort(routes)
	return routes
}

// Answers returns the described answers, as "GET /v1/requests/{requestId} 200",
// and the webhooks, as "webhook colleagues.found".
func (d *Description) Answers() []string {
	var answers []string
	for path, item := range d.doc.Paths.Map() {
		for method, operation := range item.Operations() {
			for status := range operation.Responses.Map() {
				answers = append(answers, method+" "+path+" "+status)
			}
		}
	}
	for t := range d.doc.Webhooks {
		answers = append(answers, webhook+t)
	}
	slices.Sort(answers)
	return answers
}

// Write is a described management call that changes data.
type Write struct {
	Method string
	Path   string // with something in the place of each parameter
	// Operator says that it takes the operator's token.
	Operator bool
}

// Writes returns the management calls that change data and take a JSON body or none.
// Each takes Idempotency-Key.
func (d *Description) Writes() []Write {
	var writes []Write
	for path, item := range d.doc.Paths.Map() {
		for method, operation := range item.Operations() {
			operator := slices.Contains(operation.Tags, "operator")
			if method == http.MethodGet || !operator && !slices.Contains(operation.Tags, "manage") || isUpload(operation) {
				continue
			}
			writes = append(writes, Write{method, parameter.ReplaceAllString(path, "x"), operator})
		}
	}
	return writes
}

var parameter = regexp.MustCompile(`\{\w+\}`)

// isUpload reports whether an operation takes a body that is no JSON.
func isUpload(o *openapi3.Operation) bool {
	return o.RequestBody != nil && o.RequestBody.Value.Content["application/json"] == nil
}

// Enum returns the values that a schema of the components allows.
func (d *Description) Enum(schema string) []string {
	ref := d.doc.Components.Schemas[schema]
	if ref == nil {
		return nil
	}
	var values []string
	for _, v := range ref.Value.Enum {
		values = append(values, fmt.Sprint(v))
	}
	return values
}

// webhook is the prefix of the type of a webhook in the list of answers.
const webhook = "webhook "

// operation is a described operation and the path it stands at.
type operation struct {
	*openapi3.Operation
	route  string // GET /v1/requests/{requestId}
	shared openapi3.Parameters
}

// find returns the operation that answers a call, or nil if there is none. known
// reports whether its path is described.
func (d *Description) find(method, path string) (op *operation, known bool) {
	template := d.match(path)
	if template == "" {
		return nil, false
	}
	item := d.doc.Paths.Value(template)
	head := method == http.MethodHead
	if head {
		method = http.MethodGet
	}
	found := item.GetOperation(method)
	if found == nil || head && writes(found) {
		return nil, true
	}
	return &operation{found, method + " " + template, item.Parameters}, true
}

// writes reports whether an operation of GET changes something.
func writes(op *openapi3.Operation) bool { return op.Extensions["x-writes"] == true }

// match returns the template of a path, or "" if none fits. If two fit, it is the one
// with fewer parameters.
func (d *Description) match(path string) string {
	best := ""
	for template := range d.doc.Paths.Map() {
		if fits(template, path) && (best == "" || strings.Count(template, "{") < strings.Count(best, "{")) {
			best = template
		}
	}
	return best
}

func fits(template, path string) bool {
	t, p := strings.Split(template, "/"), strings.Split(path, "/")
	if len(t) != len(p) {
		return false
	}
	for i := range t {
		if t[i] != p[i] && (!strings.HasPrefix(t[i], "{") || p[i] == "") {
			return false
		}
	}
	return true
}

// Check returns the route that answered, or "" if there is none, and the differences
// between the answer and the description.
func (d *Description) Check(c Call, a Answer) (route string, faults []string) {
	target, err := url.ParseRequestURI(c.Path)
	if err != nil {
		return "", []string{err.Error()}
	}
	op, known := d.find(c.Method, target.EscapedPath())
	if op == nil {
		return "", d.checkUnmatched(c.Method, target.EscapedPath(), known, a)
	}
	ref := op.Responses.Value(strconv.Itoa(a.Status))
	if ref == nil {
		return op.route, []string{fmt.Sprintf("the status %d is not described", a.Status)}
	}
	faults = d.checkAnswer(ref.Value, c.Method, a)
	if a.Status < http.StatusMultipleChoices {
		faults = append(faults, d.checkCall(op, target, c)...)
	}
	return op.route, faults
}

// checkUnmatched compares an answer with x-unmatched.
func (d *Description) checkUnmatched(method, path string, known bool, a Answer) []string {
	want := http.StatusNotFound
	switch {
	case known && method == http.MethodOptions:
		want = http.StatusNoContent
	case known:
		want = http.StatusMethodNotAllowed
	}
	if a.Status != want {
		return []string{fmt.Sprintf("the route is not described, and the status is %d instead of %d", a.Status, want)}
	}
	for _, u := range d.unmatched {
		if strings.HasPrefix(path, u.prefix) {
			return d.checkAnswer(d.doc.Components.Responses[u.responses[strconv.Itoa(want)]].Value, method, a)
		}
	}
	return []string{"x-unmatched does not cover the path"}
}

func (d *Description) checkAnswer(r *openapi3.Response, method string, a Answer) []string {
	faults := d.checkHeaders(r.Headers, a.Header)
	if method == http.MethodHead {
		if len(a.Body) > 0 {
			faults = append(faults, "HEAD is answered with a body")
		}
		return faults
	}
	if len(r.Content) == 0 {
		if len(a.Body) > 0 || a.Header.Get("Content-Type") != "" {
			faults = append(faults, "a body came where none is described")
		}
		return faults
	}
	return append(faults, d.checkBody(r.Content, a.Header.Get("Content-Type"), a.Body)...)
}

// transport are the headers that HTTP itself adds to an answer.
var transport = []string{"Connection", "Content-Length", "Content-Type", "Date"}

func (d *Description) checkHeaders(described openapi3.Headers, sent http.Header) (faults []string) {
	known := map[string]bool{}
	for name, ref := range described {
		key := http.CanonicalHeaderKey(name)
		known[key] = true
		// Several lines are one list (RFC 9110 §5.3).
		value := strings.Join(sent[key], ", ")
		switch {
		case value != "":
			faults = append(faults, prefixed("the header "+name+": ", d.visitText(ref.Value.Schema.Value, value))...)
		case ref.Value.Required:
			faults = append(faults, "the header "+name+" is missing")
		}
	}
	for name := range sent {
		if !known[name] && !slices.Contains(transport, name) {
			faults = append(faults, "the header "+name+" is not described")
		}
	}
	return faults
}

func (d *Description) checkBody(content openapi3.Content, contentType string, body []byte) []string {
	mediaType, _, err := mime.ParseMediaType(contentType)
	if err != nil || content[mediaType] == nil {
		return []string{fmt.Sprintf("the content type %q is not described", contentType)}
	}
	schema := content[mediaType].Schema.Value
	if mediaType != "application/json" && !strings.HasSuffix(mediaType, "+json") {
		return prefixed("the body: ", d.schemas.visit(schema, string(body)))
	}
	value, err := decode(body)
	if err != nil {
		return []string{"the body is no JSON: " + err.Error()}
	}
	return prefixed("the body: ", d.schemas.visit(schema, value))
}

// decode reads one JSON text without anything behind it.
func decode(body []byte) (value any, err error) {
	decoder := json.NewDecoder(bytes.NewReader(body))
	if err := decoder.Decode(&value); err != nil {
		return nil, err
	}
	if _, err := decoder.Token(); err != io.EOF {
		return nil, fmt.Errorf("text behind the end")
	}
	return value, nil
}

// checkCall compares an accepted call with the description. The description must not
// refuse a call that the program accepts.
func (d *Description) checkCall(op *operation, target *url.URL, c Call) (faults []string) {
	described := map[string]*openapi3.Parameter{}
	for _, ref := range slices.Concat(op.shared, op.Parameters) {
		if ref.Value.In == openapi3.ParameterInQuery {
			described[ref.Value.Name] = ref.Value
		}
	}
	for name, values := range target.Query() {
		if described[name] == nil {
			faults = append(faults, "the parameter "+name+" is taken and not described")
			continue
		}
		faults = append(faults, prefixed("the parameter "+name+" is taken: ", d.visitText(described[name].Schema.Value, values[0]))...)
	}
	if op.RequestBody == nil {
		return faults
	}
	if len(c.Body) == 0 {
		if op.RequestBody.Value.Required {
			faults = append(faults, "a call without the described body is taken")
		}
		return faults
	}
	return append(faults, prefixed("taken of the call: ", d.checkBody(op.RequestBody.Value.Content, c.Header.Get("Content-Type"), c.Body))...)
}

// CheckWebhook returns the differences between a webhook and the description.
func (d *Description) CheckWebhook(r Received) []string {
	item := d.doc.Webhooks[r.Type()]
	if item == nil || item.Post == nil {
		return []string{"the webhook " + r.Type() + " is not described"}
	}
	var faults []string
	for _, ref := range item.Post.Parameters {
		p := ref.Value
		values := r.Header[http.CanonicalHeaderKey(p.Name)]
		switch {
		case len(values) == 0 && p.Required:
			faults = append(faults, "the header "+p.Name+" is missing")
		case len(values) > 0:
			faults = append(faults, prefixed("the header "+p.Name+": ", d.visitText(p.Schema.Value, values[0]))...)
		}
	}
	return append(faults, d.checkBody(item.Post.RequestBody.Value.Content, r.Header.Get("Content-Type"), r.Body)...)
}

// visitText compares a header or a parameter, which is text, with a schema.
func (d *Description) visitText(schema *openapi3.Schema, text string) []string {
	if schema.Type.Includes(openapi3.TypeInteger) {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return []string{fmt.Sprintf("%q is no whole number", text)}
		}
		return d.schemas.visit(schema, float64(n))
	}
	return d.schemas.visit(schema, text)
}

func prefixed(prefix string, faults []string) []string {
	for i := range faults {
		faults[i] = prefix + faults[i]
	}
	return faults
}
