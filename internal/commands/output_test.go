package commands

import (
	"bytes"
	"encoding/json"
	"testing"
)

func items(texts ...string) (out []json.RawMessage) {
	for _, text := range texts {
		out = append(out, json.RawMessage(text))
	}
	return out
}

func TestAListIsPrintedPageByPage(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	for name, c := range map[string]struct {
		printer printer
		want    string
	}{
		"json":  {&jsonPrinter{out: &out}, "[\n  {\n    \"id\": \"a\",\n    \"n\": {\n      \"x\": 1\n    }\n  },\n  {\n    \"id\": \"long\"\n  }\n]\n"},
		"yaml":  {&yamlPrinter{out: &out}, "- id: a\n  n:\n    x: 1\n- id: long\n"},
		"table": {&table{out: &out, columns: []string{"id", "n.x"}}, "ID  N X\na   1\nlong\n"},
	} {
		out.Reset()
		for _, page := range [][]json.RawMessage{items(`{"id":"a","n":{"x":1}}`), items(`{"id":"long"}`)} {
			if err := c.printer.page(page); err != nil {
				t.Fatal(err)
			}
		}
		if err := c.printer.end(); err != nil || out.String() != c.want {
			t.Errorf("%s: %v\n%q\nwant\n%q", name, err, out.String(), c.want)
		}
	}
}

func TestAnEmptyListIsPrintedToo(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	for _, c := range []struct {
		printer printer
		want    string
	}{{&jsonPrinter{out: &out}, "[]\n"}, {&yamlPrinter{out: &out}, "[]\n"}, {&table{out: &out}, "nothing\n"}} {
		out.Reset()
		if err := printValue(c.printer, []byte("[]")); err != nil || out.String() != c.want {
			t.Errorf("%q, %v", out.String(), err)
		}
	}
}

func TestOneThingIsPrintedInItsOrder(t *testing.T) {
	t.Parallel()
	const text = `{"z":"true","steps":[{"name":"a"},{"name":"b"}],"tags":["x","z"],"none":null,"big":12345678901234567890}`
	var out bytes.Buffer
	for name, c := range map[string]struct {
		printer printer
		want    string
	}{
		"yaml":  {&yamlPrinter{out: &out}, "z: \"true\"\nsteps:\n  - name: a\n  - name: b\ntags:\n  - x\n  - z\nnone: null\nbig: 12345678901234567890\n"},
		"table": {&table{out: &out}, "z              true\nsteps[0].name  a\nsteps[1].name  b\ntags           x, z\nnone           \nbig            12345678901234567890\n"},
	} {
		out.Reset()
		if err := c.printer.one([]byte(text)); err != nil || out.String() != c.want {
			t.Errorf("%s: %v\n%q\nwant\n%q", name, err, out.String(), c.want)
		}
	}
}

func TestColourIsOfStatusesAndHeadings(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	p := &table{out: &out, columns: []string{"status", "createdAt"}, coloured: true}
	if err := p.page(items(`{"status":"failed","createdAt":"now"}`)); err != nil {
		t.Fatal(err)
	}
	want := bold + "STATUS" + plain + "  " + bold + "CREATED AT" + plain + "\n" + red + "failed" + plain + "  now\n"
	if out.String() != want {
		t.Errorf("%q, want %q", out.String(), want)
	}
}

// What a user's name has in it must not command the terminal of whoever looks.
func TestATableIsSafeToLookAt(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	p := &table{out: &out, columns: []string{"name"}}
	if err := p.page(items(`{"name":"\u001b[2Ja\nb"}`)); err != nil || out.String() != "NAME\n·[2Ja·b\n" {
		t.Errorf("%q, %v", out.String(), err)
	}
}
