package sendgrid

import (
	"encoding/json"
	"regexp"
	"strconv"
	"strings"

	"usersync/internal/connector"
	"usersync/internal/outbound"
	"usersync/internal/usersync"
)

// refusal is the body of an answer that is no success.
type refusal struct {
	Errors []struct {
		Field   string `json:"field"`
		Message string `json:"message"`
	} `json:"errors"`
}

func refusalOf(r *outbound.Response) refusal {
	var out refusal
	_ = json.Unmarshal(r.Body, &out) // some have another body, or none
	return out
}

// classify says what a refusal means: by its status, in its first words.
func classify(r *outbound.Response) *usersync.Error {
	said := ""
	if errs := refusalOf(r).Errors; len(errs) > 0 {
		said = quoted.ReplaceAllString(errs[0].Message, "(value)")
	}
	return connector.Classify(r, said)
}

var contactField = regexp.MustCompile(`^contacts\[(\d+)\](\.|$)`)

// contacts returns what a refusal says of single contacts, by their place.
func (r refusal) contacts() map[int]string {
	out := map[int]string{}
	for _, e := range r.Errors {
		m := contactField.FindStringSubmatch(e.Field)
		if m == nil {
			continue
		}
		if i, err := strconv.Atoi(m[1]); err == nil {
			out[i] = e.Message
		}
	}
	return out
}

// quoted is a text in single quotes, which SendGrid puts around what it refuses.
// It may be an address that is none, which Quote would not know.
var quoted = regexp.MustCompile(`'[^']*'`)

// rejected is the refusal of one contact.
func rejected(said string) *usersync.Error {
	said = connector.Quote(quoted.ReplaceAllString(said, "(value)"))
	if said == "" {
		said = "SendGrid did not take this contact and does not say why."
	}
	return usersync.Errorf(usersync.CodeRejected, "%s", said)
}

// failed is the result of a person whom SendGrid refuses.
func failed(p connector.Profile, why *usersync.Error) connector.Result {
	return connector.Result{Status: connector.Failed, Err: why, Details: "User was refused by SendGrid: " + why.Message, Remote: p.Remote}
}

// skipped is the result of a person who has left.
func skipped(p connector.Profile, what string) connector.Result {
	return connector.Result{Status: connector.Skipped, Reason: usersync.ReasonUnsubscribed, Remote: p.Remote,
		Details: "User has unsubscribed from all mail of the account at SendGrid and " + what}
}

var verbs = map[connector.Status]string{connector.Added: "added to", connector.Updated: "updated in", connector.Synced: "written to"}

// sentence says what was done, or what would be.
func (c *client) sentence(status connector.Status, would bool) string {
	tags := "'" + strings.Join(c.settings.Tags, "', '") + "'"
	switch {
	case len(c.settings.ListIDs) == 0 && len(c.settings.Tags) > 0 && would:
		return "Tags " + tags + " would be applied"
	case len(c.settings.ListIDs) == 0 && len(c.settings.Tags) > 0:
		return "Tags " + tags + " have been applied"
	}
	text := "User "
	if would {
		text += "would be "
	}
	text += verbs[status] + " " + c.where()
	if len(c.settings.Tags) > 0 {
		text += ", tags " + tags + " applied"
	}
	return text
}

// where names the lists.
func (c *client) where() string {
	var names []string
	for _, id := range c.settings.ListIDs {
		name := c.facts.Labels["list:"+id]
		if name == "" {
			name = id
		}
		names = append(names, "'"+name+"'")
	}
	switch len(names) {
	case 0:
		return "the contacts"
	case 1:
		return "the " + names[0] + " list"
	}
	return "the " + strings.Join(names, ", ") + " lists"
}
