package commands

import (
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"usersync/internal/api/openapi"
)

// elsewhere says why the operations of a tag have no command.
var elsewhere = map[string]string{
	"marketing":     "an older system's calls, which `users sync` and `requests` cover",
	"events":        "clients report what users do; `follow-ups play` does for a trial",
	"directory":     "logins of users, by tokens that another system signs",
	"scim":          "identity providers call it",
	"inbound":       "platforms call it",
	"operations":    "probes call it; `healthcheck` does for a person",
	"documentation": "pages for a browser",
}

func description(t *testing.T) *openapi3.T {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData(openapi.Document)
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

// described is an operation of the description.
type described struct {
	*openapi3.Operation
	shared openapi3.Parameters
}

// describedRoutes returns the operations by method and path.
func describedRoutes(t *testing.T) map[string]described {
	t.Helper()
	out := map[string]described{}
	for path, item := range description(t).Paths.Map() {
		for method, op := range item.Operations() {
			out[method+" "+path] = described{op, item.Parameters}
		}
	}
	return out
}

func TestEveryOperationOfTheAPIHasACommand(t *testing.T) {
	t.Parallel()
	commands := map[string]bool{}
	for _, o := range operations() {
		commands[o.route] = true
		if o.own != "" {
			commands[o.method()+" "+o.own] = true
		}
	}
	for route, op := range describedRoutes(t) {
		if len(op.Tags) == 1 && elsewhere[op.Tags[0]] != "" {
			continue
		}
		if !commands[route] {
			t.Errorf("%s (%s) has no command", route, op.OperationID)
		}
		delete(commands, route)
	}
	for route := range commands {
		t.Errorf("a command makes the call %s, which is not described", route)
	}
}

func (d described) queries() []string {
	var names []string
	for _, p := range slices.Concat(d.shared, d.Parameters) {
		if p.Value.In == openapi3.ParameterInQuery {
			names = append(names, p.Value.Name)
		}
	}
	slices.Sort(names)
	return names
}

// typedQueries are the parameters of the query that a command can send.
func (o operation) typedQueries() []string {
	var names []string
	if o.paged {
		names = append(names, "cursor", "limit")
	}
	for _, f := range o.flags {
		if f.in == inQuery {
			names = append(names, f.to)
		}
	}
	for _, arg := range o.args {
		if _, name, ok := strings.Cut(arg, "=?"); ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func TestCommandsSendWhatIsDescribed(t *testing.T) {
	t.Parallel()
	routes := describedRoutes(t)
	for _, o := range operations() {
		op, ok := routes[o.route]
		if !ok {
			continue // told of above
		}
		if got, want := o.typedQueries(), op.queries(); !slices.Equal(got, want) {
			t.Errorf("%s %s sends the parameters %v; %v are described", o.resource, o.verb, got, want)
		}
		for _, fault := range o.bodyFaults(op) {
			t.Errorf("%s %s: %s", o.resource, o.verb, fault)
		}
		for _, f := range o.flags {
			takes := slices.ContainsFunc(op.Parameters, func(p *openapi3.ParameterRef) bool { return p.Value.Name == "Prefer" })
			if f.in == inPrefer && !takes {
				t.Errorf("%s %s cannot wait", o.resource, o.verb)
			}
		}
		if want := len(o.parameters()); len(o.args) < want {
			t.Errorf("%s %s has %d arguments for %d parameters", o.resource, o.verb, len(o.args), want)
		}
	}
}

// bodyFaults says what of the body of a command is not as described.
func (o operation) bodyFaults(op described) []string {
	var content openapi3.Content
	isRequired := false
	if op.RequestBody != nil {
		content, isRequired = op.RequestBody.Value.Content, op.RequestBody.Value.Required
	}
	media := content["application/json"]
	switch o.body {
	case document, rows:
		if content["application/yaml"] == nil && content["text/csv"] == nil {
			return []string{"no file is taken"}
		}
		return nil
	case nothing:
		if isRequired {
			return []string{"a body is required"}
		}
		return nil
	}
	if media == nil {
		return []string{"no body is taken"}
	}
	if isRequired && o.body == optional {
		return []string{"a body is required"}
	}
	var faults []string
	for _, path := range o.members() {
		if !hasMember(media.Schema.Value, strings.Split(path, ".")) {
			faults = append(faults, "there is no member "+path)
		}
	}
	return faults
}

// members are the members of the body that flags and arguments set.
func (o operation) members() []string {
	var paths []string
	for _, f := range o.flags {
		if f.in == inBody {
			paths = append(paths, f.to)
		}
	}
	for _, arg := range o.args {
		if _, to, ok := strings.Cut(arg, "="); ok && !strings.HasPrefix(to, "?") {
			paths = append(paths, strings.TrimPrefix(to, "#"))
		}
	}
	return paths
}

func hasMember(s *openapi3.Schema, path []string) bool {
	if len(path) == 0 {
		return true
	}
	if inner := s.Properties[path[0]]; inner != nil && hasMember(inner.Value, path[1:]) {
		return true
	}
	for _, part := range slices.Concat(s.AllOf, s.AnyOf, s.OneOf) {
		if hasMember(part.Value, path) {
			return true
		}
	}
	return false
}

func TestCommandsHaveNamesOfTheirOwnAndAreExplained(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, o := range operations() {
		name := o.resource + " " + o.verb
		if seen[name] || o.short == "" || summaries[o.resource] == "" {
			t.Errorf("%s is there twice or not explained", name)
		}
		seen[name] = true
		flags := map[string]bool{"profile": true, "output": true, "limit": true, "body": true, "format": true, "help": true}
		for _, f := range o.flags {
			if flags[f.name] || f.help == "" {
				t.Errorf("%s: --%s is there twice or not explained", name, f.name)
			}
			flags[f.name] = true
		}
	}
}
