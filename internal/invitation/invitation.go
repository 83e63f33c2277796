// Package invitation writes the letter that invites a colleague, and sends it through the
// organization's mail server.
package invitation

import (
	"context"
	"fmt"
	"maps"
	"strings"

	"usersync/internal/colleague"
	"usersync/internal/identity"
	"usersync/internal/mail"
	"usersync/internal/store"
	"usersync/internal/template"
	"usersync/internal/tenant"
	"usersync/internal/user"
	"usersync/internal/usersync"
)

// ErrNoServer says why no letter is sent for an organization without a mail server.
var ErrNoServer = usersync.Errorf(usersync.CodeInvalid, "The organization has no SMTP server: set settings.smtp.")

var errAddress = usersync.Errorf(usersync.CodeInvalid, "Invalid email format")

// Send sends a colleague the invitation of the organization, in the name of their inviter,
// and returns the id of the letter. Errors may be shown to the organization; their codes
// are ErrNoServer's, those of mail.Sender, and invalid for a template that makes too much.
func Send(ctx context.Context, sender *mail.Sender, org *store.Org, o tenant.Organization, c colleague.Colleague) (id string, err error) {
	if o.Settings.SMTP == nil {
		return "", ErrNoServer
	}
	to, err := identity.ParseEmail(c.Email)
	if err != nil {
		return "", errAddress
	}
	inviter, err := user.Name(ctx, org, c.Inviter)
	if err != nil {
		return "", fmt.Errorf("read the name of the inviter: %w", err)
	}
	letter, err := Render(o.Settings.InvitationTemplate, map[string]string{
		"name": c.Name, "email": c.Email, "jobTitle": c.JobTitle, "companyName": c.CompanyName, "inviterName": inviter,
		"inviterEmail": c.Inviter, "inviteLink": c.InviteLink, "redirectionLink": c.RedirectionLink,
		"organization": o.Name,
	})
	if err != nil {
		return "", fmt.Errorf("fill in the invitation: %w", err)
	}
	letter.To, letter.ToName = to, c.Name
	return sender.Send(ctx, *o.Settings.SMTP, letter)
}

// The invitation of an organization that has no template of its own.
var ordinary = tenant.InvitationTemplate{
	Subject: `{{.inviterName | default "A colleague"}} invites you to {{.organization}}`,
	Text: `Hello{{if .name}} {{.name}}{{end}},

{{.inviterName | default "a colleague of yours"}} invites you to join {{.organization}}.
{{if .inviteLink}}
Accept the invitation here:
{{.inviteLink}}
{{end}}`,
}

// example has the fields that a template can show.
var example = map[string]string{
	"name": "Ann Example", "email": "ann@example.com", "jobTitle": "Engineer", "companyName": "Example Inc.",
	"inviterName": "Bob Example", "inviterEmail": "bob@example.com", "inviteLink": "https://app.example.com/join",
	"redirectionLink": "https://app.example.com/", "organization": "Example Inc.",
}

// Example returns the fields that a template can show, with example values.
func Example() map[string]string { return maps.Clone(example) }

// Render fills in a template. The default stands for a subject or a text that is not set.
// There is no default HTML. The error names the part of settings.invitationTemplate.
func Render(t tenant.InvitationTemplate, data map[string]string) (letter mail.Letter, err error) {
	if t.Subject == "" {
		t.Subject = ordinary.Subject
	}
	if t.Text == "" {
		t.Text = ordinary.Text
	}
	for _, part := range []struct {
		name, source string
		parse        func(string) (*template.Template, error)
		to           *string
	}{
		{"subject", t.Subject, template.ParseText, &letter.Subject},
		{"text", t.Text, template.ParseText, &letter.Text},
		{"html", t.HTML, template.ParseHTML, &letter.HTML},
	} {
		parsed, err := part.parse(part.source)
		if err == nil {
			*part.to, err = parsed.Execute(data)
		}
		if err != nil {
			return letter, usersync.Errorf(usersync.CodeInvalid, "settings.invitationTemplate.%s: %s", part.name, usersync.AsError(err).Message)
		}
	}
	letter.Subject = strings.Join(strings.Fields(letter.Subject), " ")
	return letter, nil
}
