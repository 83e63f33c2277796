package sendgrid

import (
	"encoding/json"
	"regexp"
	"strconv"

	"usersync/internal/connector"
	"usersync/internal/usersync"
)

// refusal is the body of an answer that is no success.
type refusal struct {
	Errors []struct {
		Field   string `json:"field"`
		Message string `json:"message"`
	} `json:"errors"`
}

func refusalOf(r *connector.Response) refusal {
	var out refusal
	_ = json.Unmarshal(r.Body, &out) // some have another body, or none
	return out
}

// classify says what a refusal means. It goes by the status and quotes the first
// error.
func classify(r *connector.Response) *usersync.Error {
	said := ""
	if errs := refusalOf(r).Errors; len(errs) > 0 {
		said = quoted.ReplaceAllString(errs[0].Message, "(value)")
	}
	return connector.Classify(r, said)
}

var contactField = regexp.MustCompile(`^contacts\[(\d+)\](\.|$)`)

// contacts returns what a refusal says of single contacts, by their place among n.
func (r refusal) contacts(n int) map[int]string {
	out := map[int]string{}
	for _, e := range r.Errors {
		m := contactField.FindStringSubmatch(e.Field)
		if m == nil {
			continue
		}
		if i, err := strconv.Atoi(m[1]); err == nil && i < n {
			out[i] = reason(e.Message)
		}
	}
	return out
}

// quoted is a text in single quotes, which SendGrid puts around what it refuses. The
// text may be an invalid address, which Quote would not recognize.
var quoted = regexp.MustCompile(`'[^']*'`)

// reason returns why SendGrid refuses one contact.
func reason(said string) string {
	if said = connector.Quote(quoted.ReplaceAllString(said, "(value)")); said != "" {
		return said
	}
	return "SendGrid did not take this contact and does not say why."
}

// refused is the result of a person whom a job failed for.
func refused(p connector.Profile, said string) connector.Result {
	return failed(p, usersync.Errorf(usersync.CodeRejected, "%s", connector.Quote(reason(said))))
}

// failed is the result of a person whom SendGrid refuses.
func failed(p connector.Profile, why error) connector.Result {
	out := connector.Rejected(why)
	out.Remote = p.Remote
	return out
}

// noList is the refusal of a push that names lists which do not exist.
func noList(faults []usersync.FieldError) *usersync.Error {
	return &usersync.Error{Code: usersync.CodeRejected, Message: "SendGrid knows no such list in the account of the key.", Fields: faults}
}

func absent(faults []usersync.FieldError) error {
	return &usersync.Error{Code: usersync.CodeDisconnected, Message: "The account does not have what the settings name.", Fields: faults}
}
