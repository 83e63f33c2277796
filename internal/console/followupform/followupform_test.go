package followupform_test

import (
	"encoding/json"
	"net/url"
	"testing"

	"usersync/internal/console/followupform"
	"usersync/internal/followup"
)

func TestAFollowUpIsMadeOfAForm(t *testing.T) {
	t.Parallel()
	in := followupform.Read(url.Values{
		"name": {"N"}, "trigger": {"user/register"}, "join": {"any"},
		"field0": {"profile.country"}, "compare0": {"equals"}, "value0": {"DE"}, "field1": {"attributes.size"}, "compare1": {"more"}, "value1": {"5"}, "field2": {"profile.phone"}, "compare2": {"isNotSet"},
		"action0": {"add-tag"}, "with0": {"german"}, "action2": {"wait"}, "with2": {"3d"},
	})
	text, err := json.Marshal(followup.Definition{Name: *in.Name, Trigger: *in.Trigger, Condition: in.Condition, Actions: *in.Actions})
	if err != nil {
		t.Fatal(err)
	}
	want := `{"name":"N","trigger":{"type":"user/register"},"condition":{"any":[{"field":"profile.country","equals":"DE"},{"field":"attributes.size","more":5},` +
		`{"field":"profile.phone","isSet":false}]},"actions":[{"type":"add-tag","tags":["german"]},{"type":"wait","for":"3d"}]}`
	if string(text) != want {
		t.Errorf("%s\nwant %s", text, want)
	}
	if empty := followupform.Read(url.Values{"name": {"N"}}); empty.Condition != nil || len(*empty.Actions) != 0 {
		t.Errorf("%+v", empty)
	}
}
