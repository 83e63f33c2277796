package event

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"usersync/internal/usersync"
)

func TestAFormIsReadAsPHPDoes(t *testing.T) {
	t.Parallel()
	for form, want := range map[string]string{
		"": `{}`,
		"email=john.doe@example.com&firstname=John": `{"email":"john.doe@example.com","firstname":"John"}`,
		"a=b+c&d=%2B%26%3D":                         `{"a":"b c","d":"+&="}`,
		"naam=Ren%C3%A9e&n=é":                       `{"naam":"Renée","n":"é"}`,
		"data%5Bsize%5D=42&data[colour]=blue":       `{"data":{"colour":"blue","size":"42"}}`,
		"a[b][c][d]=1":                              `{"a":{"b":{"c":{"d":"1"}}}}`,
		"tags[]=x&tags[]=y":                         `{"tags":["x","y"]}`,
		"tags[1]=y&tags[0]=x":                       `{"tags":["x","y"]}`,
		"tags[1]=y":                                 `{"tags":{"1":"y"}}`,
		"rows[0][sku]=A&rows[1][sku]=B":             `{"rows":[{"sku":"A"},{"sku":"B"}]}`,
		"a=1&a=2":                                   `{"a":"2"}`,
		"a&b=":                                      `{"a":"","b":""}`,
		"&&a=1&":                                    `{"a":"1"}`,
		"a=b=c":                                     `{"a":"b=c"}`,
	} {
		got, err := readForm([]byte(form))
		text, _ := json.Marshal(got)
		var wanted, had any
		if json.Unmarshal([]byte(want), &wanted) != nil || json.Unmarshal(text, &had) != nil || err != nil || !reflect.DeepEqual(had, wanted) {
			t.Errorf("%s: %s %v, want %s", form, text, err, want)
		}
	}
}

func TestAFormThatCannotBeReadNamesThePlace(t *testing.T) {
	t.Parallel()
	for form, want := range map[string]string{
		"a=1&b=%zz":                              "parameter 2: a % must",
		"a=%":                                    "parameter 1: a % must",
		"a=%FF":                                  "parameter 1: it is not UTF-8",
		"a=%00":                                  "parameter 1: it holds NUL",
		"a[b=1":                                  "a[b must have its brackets closed",
		"a]=1":                                   "a] must have its brackets closed",
		"a[b]c=1":                                "a[b]c must have its brackets closed",
		"a=1&a[b]=2":                             "a[b] is given both as a value and with brackets",
		"a[b]=1&a=2":                             "a is given both as a value and with brackets",
		"a[][][][][][][][][]=1":                  "nests deeper than 8",
		"a=" + strings.Repeat("x", maxText+1):    "a value may have 4096 bytes",
		strings.Repeat("a=1&", maxPairs) + "a=1": "Too many parameters",
	} {
		_, err := readForm([]byte(form))
		if usersync.CodeOf(err) != usersync.CodeInvalid || !strings.Contains(usersync.AsError(err).Message, want) {
			t.Errorf("%.40s: %v, want %s", form, err, want)
		}
	}
}

func TestAUserIsReadFromTheParametersOfTheContract(t *testing.T) {
	t.Parallel()
	in := &sent{values: map[string]any{
		"email": "Jan@Example.com", "firstname": " Jan ", "suffix": "van der", "lastname": "Berg", "plan": "", "size": json.Number("1.50"), "vip": true,
		"data": map[string]any{"colour": "blue", "gone": nil}, "list": []any{"a"},
	}}
	if err := readUser(in); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"plan": nil, "size": json.Number("1.50"), "vip": true, "data.colour": "blue", "data.gone": nil}
	u := in.user
	if u.FirstName != "Jan" || u.LastName != "van der Berg" || !reflect.DeepEqual(u.Attributes, want) || len(u.Cleared) != 0 || *u.Removed {
		t.Errorf("%+v", u)
	}
	if kept := in.attributes(); kept["email"] != nil || kept["lastname"] != "Berg" {
		t.Errorf("kept with the event: %v", kept)
	}
	in = &sent{values: map[string]any{"email": "jan@example.com", "firstname": nil, "suffix": "van", "lastname": ""}}
	if err := readRemovedUser(in); err != nil || in.user.LastName != "" || !in.user.Clears(usersync.FieldFirstName) || !in.user.Clears(usersync.FieldLastName) || !*in.user.Removed {
		t.Errorf("%+v %v", in.user, err)
	}
	in = &sent{values: map[string]any{"email": "jan@example.com", "suffix": "van"}}
	if err := readUser(in); err != nil || in.user.LastName != "" || len(in.user.Cleared) != 0 {
		t.Errorf("an infix alone says %+v of the name: %v", in.user, err)
	}
}

func FuzzForm(f *testing.F) {
	f.Add("email=a@example.com&data[size]=42&tags[]=x&a[0][b]=%C3%A9")
	f.Add("a[=1&b]=2&c[][]=3&%=1")
	f.Fuzz(func(t *testing.T, form string) {
		values, err := readForm([]byte(form))
		if err != nil {
			if usersync.CodeOf(err) != usersync.CodeInvalid {
				t.Errorf("%q: %v", form, err)
			}
			return
		}
		if _, err := json.Marshal(values); err != nil {
			t.Errorf("%q cannot be kept: %v", form, err)
		}
	})
}
