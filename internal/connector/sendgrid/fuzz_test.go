package sendgrid

import (
	"strings"
	"testing"

	"usersync/internal/connector"
	"usersync/internal/usersync"
)

// ada and grace are looked for in files of errors.
var people = []connector.Profile{
	{Email: usersync.NewEmail("Ada@engine.example", "ada@engine.example")},
	{Email: usersync.NewEmail("grace@engine.example", "grace@engine.example")},
}

func TestReasonsAreFoundInAnyColumns(t *testing.T) {
	t.Parallel()
	for file, want := range map[string]string{
		"email,error\nada@engine.example,too long\n":                        "too long",
		"EMAIL,FIRST_NAME,ERROR_MESSAGE,LINE\nada@engine.example,Ada,bad,2": "bad",
		"line;reason\n": "",
		"2,\"ADA@engine.example\",not a number\n": "not a number", // no heading
		"ada@engine.example\n":                    "",
		"email,error\n\"ada@engine.example,x\n":   "",
		"<html></html>":                           "",
		"":                                        "",
	} {
		reasons := readReasons(&connector.Response{Body: []byte(file)}, people)
		if got := reasons["ada@engine.example"]; got != want || reasons["grace@engine.example"] != "" {
			t.Errorf("%q: %q, want %q", file, got, want)
		}
	}
}

func FuzzReasons(f *testing.F) {
	f.Add("email,error\nada@engine.example,too long\n")
	f.Add("\"a\nb\",\"\"\"\"\n,,,\n")
	f.Fuzz(func(t *testing.T, file string) {
		for address := range readReasons(&connector.Response{Body: []byte(file)}, people) {
			if !strings.Contains(strings.ToLower(file), address) {
				t.Errorf("%q is not in the file", address)
			}
		}
	})
}

func FuzzContactsOfARefusal(f *testing.F) {
	f.Add(`{"errors":[{"field":"contacts[0].email","message":"email '000' is not valid"}]}`)
	f.Add(`{"errors":[{"field":"contacts[99999999999999999999].email"},null]}`)
	f.Fuzz(func(t *testing.T, body string) {
		for i := range refusalOf(&connector.Response{Body: []byte(body)}).contacts(1000) {
			if i < 0 || i >= 1000 {
				t.Errorf("place %d", i)
			}
		}
	})
}
