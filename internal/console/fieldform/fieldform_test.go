package fieldform_test

import (
	"testing"

	"usersync/internal/connector"
	"usersync/internal/console/fieldform"
)

func TestFieldsOfAConnectionAreReadByTheirType(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ kind, text, value, fault string }{
		{"string", "x", `"x"`, ""}, {"string", "", "", ""}, {"secret", "s", `"s"`, ""}, {"integer", "12", "12", ""}, {"integer", "twelve", "", "must be a integer"},
		{"integer", `"1"`, "", "must be a integer"}, {"boolean", "true", "true", ""}, {"list", " a \n\nb", `["a","b"]`, ""}, {"map", "A = b\nC=d = e", `{"A":"b","C":"d = e"}`, ""},
		{"map", "A", "", "must have lines of name = value"},
	} {
		value, fault := fieldform.ValueOf(connector.Field{Type: c.kind}, c.text)
		if string(value) != c.value || fault != c.fault {
			t.Errorf("%s %q: %s, %q; want %s, %q", c.kind, c.text, value, fault, c.value, c.fault)
		}
		if value == nil || c.kind == "integer" || c.kind == "boolean" {
			continue
		}
		if again, _ := fieldform.ValueOf(connector.Field{Type: c.kind}, fieldform.TextOf(value)); string(again) != string(value) {
			t.Errorf("%s is shown as %q, which reads as %s", value, fieldform.TextOf(value), again)
		}
	}
}
