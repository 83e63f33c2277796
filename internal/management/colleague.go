package management

import (
	"context"
	"fmt"
	"strings"

	"usersync/internal/colleague"
	"usersync/internal/identity"
	"usersync/internal/mail"
	"usersync/internal/template"
	"usersync/internal/tenant"
	"usersync/internal/user"
	"usersync/internal/usersync"
)

// The refusals of the colleague calls.
var (
	ErrColleaguesDisabled = usersync.Errorf(usersync.CodeForbidden, "Colleagues are disabled for this organization.")
	ErrEmailFormat        = usersync.Errorf(usersync.CodeInvalid, "Invalid email format")
	errInviterFormat      = usersync.Errorf(usersync.CodeInvalid, "toBeInvitedById must be the inviter's email")
	errStatus             = usersync.Errorf(usersync.CodeInvalid, "status must be one of pending, invited, joined, deleted")
	errNothing            = usersync.Errorf(usersync.CodeInvalid, "At least one of status and email is required")
	errNoColleagueID      = usersync.Errorf(usersync.CodeInvalid, "Colleague id is required")
)

// ColleagueInput is what a caller says of a colleague made by hand.
type ColleagueInput struct {
	Name, Email, CompanyName, Inviter string // required
	JobTitle, Website                 string
	Team                              int64
	InviteLink, RedirectionLink       string // "" for the organization's own
}

func (in ColleagueInput) missing() []string {
	var names []string
	for _, f := range []struct{ name, value string }{
		{"name", in.Name}, {"email", in.Email}, {"companyName", in.CompanyName}, {"toBeInvitedById", in.Inviter},
	} {
		if strings.TrimSpace(f.value) == "" {
			names = append(names, f.name)
		}
	}
	return names
}

// ListColleagues returns the colleagues of the user with this address.
func (s *Service) ListColleagues(ctx context.Context, caller tenant.Caller, address string) ([]colleague.Colleague, error) {
	if err := colleaguesOf(caller); err != nil {
		return nil, err
	}
	if strings.TrimSpace(address) == "" {
		return nil, usersync.Errorf(usersync.CodeInvalid, "email is required")
	}
	email, err := identity.ParseEmail(address)
	if err != nil {
		return nil, ErrEmailFormat
	}
	return colleague.List(ctx, caller.Org, email)
}

func colleaguesOf(caller tenant.Caller) error {
	if !caller.Organization.Settings.Colleagues() {
		return ErrColleaguesDisabled
	}
	return nil
}

// CreateColleague makes a colleague by hand.
func (s *Service) CreateColleague(ctx context.Context, actor string, caller tenant.Caller, in ColleagueInput) (colleague.Colleague, error) {
	if err := colleaguesOf(caller); err != nil {
		return colleague.Colleague{}, err
	}
	if missing := in.missing(); len(missing) > 0 {
		return colleague.Colleague{}, usersync.Errorf(usersync.CodeInvalid, "Missing required fields: %s", strings.Join(missing, ", "))
	}
	email, err := identity.ParseEmail(in.Email)
	if err != nil {
		return colleague.Colleague{}, ErrEmailFormat
	}
	inviter, err := identity.ParseEmail(in.Inviter)
	if err != nil {
		return colleague.Colleague{}, errInviterFormat
	}
	o := caller.Organization
	if in.InviteLink == "" {
		in.InviteLink = o.DefaultInviteLink
	}
	if in.RedirectionLink == "" {
		in.RedirectionLink = o.DefaultRedirectionLink
	}
	return colleague.Create(ctx, caller.Org, actor, o.Salt, colleague.NewColleague{
		Colleague: colleague.Colleague{Name: in.Name, JobTitle: in.JobTitle, CompanyName: in.CompanyName, Website: in.Website,
			InviteLink: in.InviteLink, RedirectionLink: in.RedirectionLink, Team: in.Team},
		Email: email, Inviter: inviter,
		Identity: user.IdentityOf(usersync.UserInput{Email: email, JobTitle: in.JobTitle}),
	})
}

// ColleagueChange is what a caller changes of a colleague.
type ColleagueChange struct {
	ID     string
	Status colleague.Status // "" leaves it
	Email  string           // "" leaves it
}

// UpdateColleague changes a colleague's status or address.
func (s *Service) UpdateColleague(ctx context.Context, actor string, caller tenant.Caller, in ColleagueChange) (colleague.Colleague, error) {
	if err := colleaguesOf(caller); err != nil {
		return colleague.Colleague{}, err
	}
	switch {
	case in.ID == "":
		return colleague.Colleague{}, errNoColleagueID
	case in.Status == "" && in.Email == "":
		return colleague.Colleague{}, errNothing
	case in.Status != "" && !in.Status.Valid():
		return colleague.Colleague{}, errStatus
	}
	update := colleague.Change{Status: in.Status}
	if in.Email != "" {
		email, err := identity.ParseEmail(in.Email)
		if err != nil {
			return colleague.Colleague{}, ErrEmailFormat
		}
		update.Email, update.Company = email, user.IdentityOf(usersync.UserInput{Email: email}).Company
	}
	return colleague.Update(ctx, caller.Org, actor, in.ID, update)
}

// Invitation is what became of an invitation.
type Invitation struct {
	Colleague colleague.Colleague
	// MessageID is that of the e-mail. It is "" when none was sent; Err then says
	// why, in words for the organization.
	MessageID string
	Err       *usersync.Error
}

// errNoSMTP says why no e-mail is sent for an organization without a mail server.
var errNoSMTP = usersync.Errorf(usersync.CodeInvalid, "The organization has no SMTP server: set settings.smtp.")

// Invite marks a colleague as invited and sends them the organization's
// invitation. When the e-mail cannot be sent, Invite returns no error; the
// Invitation says why.
func (s *Service) Invite(ctx context.Context, actor string, caller tenant.Caller, id string) (Invitation, error) {
	if err := colleaguesOf(caller); err != nil {
		return Invitation{}, err
	}
	if id == "" {
		return Invitation{}, errNoColleagueID
	}
	c, err := colleague.MarkInvited(ctx, caller.Org, actor, id)
	if err != nil {
		return Invitation{}, fmt.Errorf("mark the colleague as invited: %w", err)
	}
	messageID, err := s.sendInvitation(ctx, caller, c)
	return Invitation{Colleague: c, MessageID: messageID, Err: usersync.AsError(err)}, nil
}

func (s *Service) sendInvitation(ctx context.Context, caller tenant.Caller, c colleague.Colleague) (string, error) {
	settings := caller.Organization.Settings
	if settings.SMTP == nil {
		return "", errNoSMTP
	}
	to, err := identity.ParseEmail(c.Email)
	if err != nil {
		return "", ErrEmailFormat
	}
	inviter, err := user.Name(ctx, caller.Org, c.Inviter)
	if err != nil {
		return "", fmt.Errorf("read the name of the inviter: %w", err)
	}
	letter, err := renderInvitation(settings.InvitationTemplate, map[string]string{
		"name": c.Name, "email": c.Email, "jobTitle": c.JobTitle, "companyName": c.CompanyName, "inviterName": inviter,
		"inviterEmail": c.Inviter, "inviteLink": c.InviteLink, "redirectionLink": c.RedirectionLink,
		"organization": caller.Organization.Name,
	})
	if err != nil {
		return "", fmt.Errorf("fill in the invitation: %w", err)
	}
	letter.To, letter.ToName = to, c.Name
	return s.Mail.Send(ctx, *settings.SMTP, letter)
}

// The invitation of an organization that has no template of its own.
var defaultInvitation = tenant.InvitationTemplate{
	Subject: `{{.inviterName | default "A colleague"}} invites you to {{.organization}}`,
	Text: `Hello{{if .name}} {{.name}}{{end}},

{{.inviterName | default "a colleague of yours"}} invites you to join {{.organization}}.
{{if .inviteLink}}
Accept the invitation here:
{{.inviteLink}}
{{end}}`,
}

// invitationFields are the fields that a template can show, with example values.
var invitationFields = map[string]string{
	"name": "Ann Example", "email": "ann@example.com", "jobTitle": "Engineer", "companyName": "Example Inc.",
	"inviterName": "Bob Example", "inviterEmail": "bob@example.com", "inviteLink": "https://app.example.com/join",
	"redirectionLink": "https://app.example.com/", "organization": "Example Inc.",
}

// renderInvitation fills in a template. The default stands for a subject or a text
// that is not set. There is no default HTML.
func renderInvitation(t tenant.InvitationTemplate, data map[string]string) (letter mail.Letter, err error) {
	if t.Subject == "" {
		t.Subject = defaultInvitation.Subject
	}
	if t.Text == "" {
		t.Text = defaultInvitation.Text
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
