package template_test

import (
	"fmt"

	"usersync/internal/template"
	"usersync/internal/usersync"
)

// An HTML template escapes inserted values for the place where they stand.
func ExampleParseHTML() {
	t, err := template.ParseHTML(`<p>Hi {{.name | default "there"}}, <a href="{{.inviteLink}}">join us</a></p>`)
	if err != nil {
		fmt.Println(err)
		return
	}
	out, err := t.Execute(map[string]any{"name": "<b>Jane</b>", "inviteLink": "https://app.example.com/join?by=1"})
	fmt.Println(out, err)
	out, err = t.Execute(map[string]any{"name": "", "inviteLink": "javascript:alert(1)"})
	fmt.Println(out, err)
	// Output:
	// <p>Hi &lt;b&gt;Jane&lt;/b&gt;, <a href="https://app.example.com/join?by=1">join us</a></p> <nil>
	// <p>Hi there, <a href="#ZgotmplZ">join us</a></p> <nil>
}

// A template can neither loop nor call others, so it always ends.
func ExampleParseText() {
	_, err := template.ParseText("Hi\n{{range .users}}{{.}}{{end}}")
	fmt.Println(usersync.AsError(err).Message)
	// Output:
	// line 2: only fields, if/else and pipes may stand here
}
