package apptest

import (
	"slices"
	"strings"
	"testing"
)

// another is a description of a dialect that takes its key in the query and forms as
// bodies.
const another = `
openapi: 3.1.0
info: { title: t, version: "1" }
x-unmatched: []
paths:
  /api/things/{thingId}:
    post:
      operationId: x
      tags: [native]
      description: "Scope: §marketing§ or §manage§."
      security: [{ queryKey: [] }]
      parameters:
        - { name: thingId, in: path, required: true, schema: { type: string } }
        - { name: cursor, in: query, schema: { type: string } }
      requestBody:
        content:
          application/x-www-form-urlencoded:
            schema:
              type: object
              required: [email, count]
              properties: { email: { type: string }, count: { type: integer, minimum: 3 }, other: { type: string, pattern: "^x$" } }
      responses: { "204": { description: Done. } }
components:
  securitySchemes:
    queryKey: { type: apiKey, in: query, name: apiKey }
    signature: { type: mutualTLS }
`

func describeAnother(t *testing.T, text string) (*Description, []Operation, error) {
	t.Helper()
	d, err := loadDescription([]byte(strings.ReplaceAll(text, "§", "`")))
	if err != nil {
		t.Fatal(err)
	}
	list, err := d.Operations()
	return d, list, err
}

func TestCallsAreMadeFromTheDescriptionAlone(t *testing.T) {
	t.Parallel()
	d, list, err := describeAnother(t, another)
	if err != nil || len(list) != 1 || !slices.Equal(list[0].Scopes, []string{"marketing", "manage"}) || !slices.Equal(list[0].InQuery, []string{"cursor"}) {
		t.Fatalf("%+v, %v", list, err)
	}
	c, err := list[0].Call(map[string]string{"thingId": "a/b", "email": "a@b.example"}, map[string]string{"cursor": "c"})
	if err != nil || c.Path != "/api/things/a%2Fb?cursor=c" || string(c.Body) != "count=3&email=a%40b.example" {
		t.Errorf("%+v %s, %v", c, c.Body, err)
	}
	carried, err := d.Carry(c, "queryKey", "k&y")
	if err != nil || carried.Path != c.Path+"&apiKey=k%26y" {
		t.Errorf("%+v, %v", carried, err)
	}
}

func TestWhatTheDescriptionDoesNotTellFails(t *testing.T) {
	t.Parallel()
	d, list, err := describeAnother(t, another)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := list[0].Call(nil, nil); err == nil {
		t.Error("a call without a value for its parameter is made")
	}
	if _, err := list[0].Call(map[string]string{"thingId": "x"}, nil); err != nil {
		t.Errorf("a text without an example: %v", err)
	}
	for _, scheme := range []string{"signature", "unknown"} {
		if _, err := d.Carry(Call{}, scheme, "k"); err == nil {
			t.Errorf("the scheme %s carries a credential", scheme)
		}
	}
	for what, text := range map[string]string{
		"no scope":        strings.Replace(another, "Scope: ", "Scopes: ", 1),
		"an unknown body": strings.Replace(another, "application/x-www-form-urlencoded", "image/png", 1),
	} {
		if _, _, err := describeAnother(t, text); err == nil {
			t.Errorf("%s: taken", what)
		}
	}
	_, list, err = describeAnother(t, strings.Replace(another, "email: { type: string }", `email: { type: string, pattern: "^x$" }`, 1))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := list[0].Call(map[string]string{"thingId": "x"}, nil); err == nil {
		t.Error("a field that nobody can write is written")
	}
}
