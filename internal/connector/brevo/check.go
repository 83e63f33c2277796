package brevo

import (
	"context"
	"fmt"
	"net/http"

	"usersync/internal/connector"
	"usersync/internal/usersync"
)

// Check asks whose account it is and looks for the list and every attribute.
func (b *brevo) Check(ctx context.Context) (connector.Facts, error) {
	facts := connector.Facts{Labels: map[string]string{}, Account: connector.Fingerprint(b.key)}
	r, err := b.call(ctx, http.MethodGet, "/account", nil)
	if err != nil {
		return facts, err
	}
	var account struct {
		Organization string `json:"organization_id"`
	}
	if err := connector.Decode(r, &account); err != nil {
		return facts, err
	}
	if account.Organization != "" {
		facts.Account = account.Organization
	}
	if err := b.checkList(ctx, facts.Labels); err != nil {
		return facts, err
	}
	return facts, b.checkAttributes(ctx, facts.Labels)
}

func (b *brevo) checkList(ctx context.Context, labels map[string]string) error {
	r, err := b.call(ctx, http.MethodGet, "/contacts/lists/"+b.settings.List, nil)
	if isMissing(r) {
		return wrong("list", "Brevo has no list "+b.settings.List+".")
	}
	if err != nil {
		return err
	}
	var found list
	err = connector.Decode(r, &found)
	labels["list:"+b.settings.List] = found.Name
	return err
}

func (b *brevo) checkAttributes(ctx context.Context, labels map[string]string) error {
	r, err := b.call(ctx, http.MethodGet, "/contacts/attributes", nil)
	if err != nil {
		return err
	}
	var answer struct {
		Attributes []struct {
			Name     string `json:"name"`
			Category string `json:"category"`
			Type     string `json:"type"`
		} `json:"attributes"`
	}
	if err := connector.Decode(r, &answer); err != nil {
		return err
	}
	types := map[string]string{}
	for _, a := range answer.Attributes {
		if a.Category == "calculated" || a.Category == "global" {
			continue // Brevo computes them
		}
		types[a.Name] = a.Type
	}
	fields := map[string]string{}
	for name := range b.attributes {
		fields[name] = "attributes." + name
	}
	if b.settings.TagsAttribute != "" {
		fields[b.settings.TagsAttribute] = "tagsAttribute"
	}
	for name, field := range fields {
		kind, ok := types[name]
		if !ok {
			return wrong(field, fmt.Sprintf("Brevo has no contact attribute '%s' that can be written.", name))
		}
		labels["attribute:"+name] = kind
	}
	return nil
}

// list is a list of contacts.
type list struct {
	ID   int64  `json:"id"`
	Name string `json:"name"`
}

// wrong is the error for a setting that names what Brevo does not have.
func wrong(field, message string) *usersync.Error {
	e := usersync.Errorf(usersync.CodeDisconnected, "%s", message)
	e.Fields = []usersync.FieldError{{Field: "settings." + field, Message: message}}
	return e
}
