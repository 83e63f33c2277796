package management

import (
	"context"
	"fmt"
	"strings"

	"usersync/internal/colleague"
	"usersync/internal/identity"
	"usersync/internal/invitation"
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
	messageID, err := invitation.Send(ctx, s.Mail, caller.Org, caller.Organization, c)
	return Invitation{Colleague: c, MessageID: messageID, Err: usersync.AsError(err)}, nil
}
