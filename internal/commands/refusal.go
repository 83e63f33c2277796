package commands

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// refusal is an answer that is an error, in any of the forms that the API has for it.
type refusal struct {
	status int
	Title  string `json:"title"`
	Detail string `json:"detail"`
	Code   string `json:"code"`
	Text   string `json:"error"` // of the native dialect
	Errors []struct {
		Field   string `json:"field"`
		Message string `json:"message"`
	} `json:"errors"`
}

func refusalOf(status int, text []byte) error {
	r := &refusal{}
	_ = json.Unmarshal(text, r) // what is none of ours has a status all the same
	r.status = status
	return r
}

// Error says what the service said.
func (r *refusal) Error() string {
	said := cmp.Or(r.Detail, r.Text, r.Title, http.StatusText(r.status), "no status that is known")
	if r.Code != "" {
		return fmt.Sprintf("%s (HTTP %d, %s)", said, r.status, r.Code)
	}
	return fmt.Sprintf("%s (HTTP %d)", said, r.status)
}

// explain says of an error by which flag or argument it can be mended, and what to do.
func (o operation) explain(err error) error {
	r, ok := errors.AsType[*refusal](err)
	if !ok {
		return err
	}
	text := r.Error()
	if field, rest, _ := strings.Cut(text, " "); o.typedAs(field) != field {
		text = o.typedAs(field) + ": " + rest
	}
	for _, e := range r.Errors {
		if !strings.Contains(text, e.Message) {
			text += "\n  " + o.typedAs(e.Field) + ": " + e.Message
		}
	}
	switch r.status {
	case http.StatusPaymentRequired:
		text += "\nTop up: an operator adds credits by `usersync credits add ORGANIZATION AMOUNT`; what waits goes on by itself."
	case http.StatusUnauthorized:
		text += "\nThe key is that of the profile, or of " + keyVariable + "; commands of operators take the ADMIN_TOKEN of the service as theirs."
	}
	return errors.New(text)
}

// typedAs returns the flag or argument that a parameter or member was typed as, or its own
// name.
func (o operation) typedAs(field string) string {
	for _, f := range o.flags {
		if f.to == field {
			return "--" + f.name
		}
	}
	for _, arg := range o.args {
		if name, to, _ := strings.Cut(arg, "="); strings.TrimLeft(to, "?#") == field {
			return name
		}
	}
	return field
}
