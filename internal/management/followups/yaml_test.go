package followups

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"usersync/internal/followup"
	"usersync/internal/followup/catalog"
	"usersync/internal/usersync"
)

// texts are those that YAML takes for something else where they are not quoted, or that it
// could not hold unescaped.
var texts = []string{
	"true", "no", "null", "~", "1", "0123", "1e3", "0x10", "1_000", "2026-11-22", "- a", "a: b", "# a", "&a", "*a", "!!str a", "<<", "", " ", "a\nb\n", "{{.profile.name}}",
	"\x01\x7f\u0085\u2028\ufeff", "ü😀", "'\"\\", "[a", "%TAG", "@", "`", "=", ".inf", "12:30:45",
}

func TestEveryTextSurvivesYAML(t *testing.T) {
	t.Parallel()
	f := catalog.FollowUp{Status: catalog.Active, Definition: followup.Definition{
		Name: "n", Trigger: followup.Trigger{Type: followup.UserUpdate}, Overlap: followup.OverlapAll,
		Actions: []followup.Action{{Type: followup.AddTag, Tags: texts}, {Type: followup.UpdateUser, Set: map[string]followup.Value{}}},
	}}
	for i, text := range texts {
		f.Actions[1].Set["attributes."+text] = followup.ValueOf(texts[len(texts)-1-i])
	}
	f.Actions[1].Set["attributes.number"] = followup.ValueOf(json.Number("12345678901234567890.50"))
	f.Actions[1].Set["attributes.big"] = followup.ValueOf(json.Number("1e300"))
	f.Actions[1].Set["attributes.yes"] = followup.ValueOf(true)
	var out bytes.Buffer
	out.WriteString("followUps:\n")
	if err := writeYAML(&out, f); err != nil {
		t.Fatal(err)
	}
	text, err := FromYAML(out.Bytes())
	if err != nil {
		t.Fatalf("%v\n%s", err, out.Bytes())
	}
	var in Document
	if err := json.Unmarshal(text, &in); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	var again catalog.FollowUp
	in.FollowUps[0].apply(&again)
	if !reflect.DeepEqual(again, f) {
		t.Errorf("%+v became\n%+v by\n%s", f, again, out.Bytes())
	}
}

func TestWhatHasNoCounterpartInJSONIsRefused(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"a: &b c":               "line 1: anchors and aliases are not taken",
		"x: 1\na: {<<: {b: c}}": "line 2: a key must be a text",
		"? [a]\n: b":            "line 1: a key must be a text",
		"a: 1\nb: 2\na: 3":      "line 3: the key is there twice",
		"a: !!binary aGk=":      "line 1: tags are not taken",
		"a: !mine x":            "line 1: tags are not taken",
		"a: 0x10":               "line 1: a number must be written as in JSON; put a text into quotes",
		"a: .inf":               "line 1: a number must be written as in JSON; put a text into quotes",
		"a: 1\n---\nb: 2":       "There must be one document.",
		"a: [":                  "The document is no YAML: line 1: did not find expected node content",
		strings.Repeat("[", 100) + "1" + strings.Repeat("]", 100): "line 1: values nest too deep",
		strings.Repeat("- a\n", 50_001):                           "The document has too many values; split it.",
	} {
		_, err := FromYAML([]byte(text))
		if e := usersync.AsError(err); e == nil || e.Code != usersync.CodeInvalid || e.Message != want {
			t.Errorf("%.40q: %v, want %s", text, err, want)
		}
	}
	for text, want := range map[string]string{"": "{}", "# nothing": "{}", "a: [1, -2.5, x, true, ~, '1', 2026-11-22]": `{"a":[1,-2.5,"x",true,null,"1","2026-11-22"]}`} {
		if got, err := FromYAML([]byte(text)); err != nil || string(got) != want {
			t.Errorf("%q: %s, %v", text, got, err)
		}
	}
}

// FuzzFromYAML reads any text. What is taken is JSON.
func FuzzFromYAML(f *testing.F) {
	for _, seed := range []string{"a: 1", "- &a b\n- *a", "{a: [b, 1e3, ~]}", "? a\n: b", "a: |\n  b\n", "\xff", "---\n...\n", "a: !!float 1"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		out, err := FromYAML(text)
		if err != nil && usersync.CodeOf(err) != usersync.CodeInvalid {
			t.Fatal(err)
		}
		if err == nil && !json.Valid(out) {
			t.Fatalf("%q became %s", text, out)
		}
	})
}
