package native

import (
	"net/http"

	"usersync/internal/api"
	"usersync/internal/colleague"
	"usersync/internal/management"
)

// listColleagues is GET /v1/colleagues-list: a bare array.
func (o Options) listColleagues(c *api.Call) error {
	query, err := c.Query()
	if err != nil {
		return err
	}
	list, err := o.Admin.ListColleagues(c.Context(), c.Caller, query.Get("email"))
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, append([]colleague.Colleague{}, list...))
}

// createColleague is POST /v1/colleagues-create.
func (o Options) createColleague(c *api.Call) error {
	body, err := c.Body()
	if err != nil {
		return err
	}
	in, err := readColleague(body)
	if err != nil {
		return err
	}
	colleague, err := o.Admin.CreateColleague(c.Context(), c.Actor, c.Caller, in)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusCreated, colleague)
}

func readColleague(body []byte) (in management.ColleagueInput, err error) {
	if len(body) == 0 {
		return in, nil
	}
	r := api.NewReader(body)
	for name := range r.Object() {
		switch name {
		case "name":
			in.Name = r.ShortText(maxField)
		case "email":
			in.Email = r.Text()
		case "companyName":
			in.CompanyName = r.ShortText(maxField)
		case "toBeInvitedById":
			in.Inviter = r.Text()
		case "jobTitle":
			in.JobTitle = r.ShortText(maxField)
		case "website":
			in.Website = r.ShortText(maxLink)
		case "team":
			in.Team = readTeam(r)
		case "inviteLink":
			in.InviteLink = r.ShortText(maxLink)
		case "redirectionLink":
			in.RedirectionLink = r.ShortText(maxLink)
		}
	}
	return in, r.End()
}

// maxTeam is the largest number that a client written in JavaScript keeps exactly.
const maxTeam = 1<<53 - 1

func readTeam(r *api.Reader) int64 {
	n := r.Number()
	if n != float64(int64(n)) || n < -maxTeam || n > maxTeam {
		r.Wrong("must be a whole number")
		return 0
	}
	return int64(n)
}

// updateColleague is PATCH /v1/colleagues-update.
func (o Options) updateColleague(c *api.Call) error {
	body, err := c.Body()
	if err != nil {
		return err
	}
	in, err := readChange(body)
	if err != nil {
		return err
	}
	colleague, err := o.Admin.UpdateColleague(c.Context(), c.Actor, c.Caller, in)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, colleague)
}

func readChange(body []byte) (in management.ColleagueChange, err error) {
	if len(body) == 0 {
		return in, nil
	}
	r := api.NewReader(body)
	for name := range r.Object() {
		switch name {
		case "id":
			in.ID = r.Text()
		case "status":
			in.Status = colleague.Status(r.Text())
		case "email":
			in.Email = r.Text()
		}
	}
	return in, r.End()
}

// invitation is the answer to POST /v1/send-invitation: the fields of the
// contract in its order.
type invitation struct {
	Success     bool                `json:"success"`
	RequestID   string              `json:"requestId"`
	Invite      colleague.Colleague `json:"invite"`
	EmailSent   bool                `json:"emailSent"`
	EmailResult *emailResult        `json:"emailResult"`
	EmailError  *string             `json:"emailError"`
}

type emailResult struct {
	ID string `json:"id"`
}

// sendInvitation is POST /v1/send-invitation. An e-mail that cannot be sent is
// told in a 200.
func (o Options) sendInvitation(c *api.Call) error {
	body, err := c.Body()
	if err != nil {
		return err
	}
	id, err := readColleagueID(body)
	if err != nil {
		return err
	}
	sent, err := o.Admin.Invite(c.Context(), c.Actor, c.Caller, id)
	if err != nil {
		return err
	}
	answer := invitation{Success: true, RequestID: c.ID, Invite: sent.Colleague, EmailSent: sent.Err == nil}
	if sent.Err != nil {
		answer.EmailError = &sent.Err.Message
	} else {
		answer.EmailResult = &emailResult{sent.MessageID}
	}
	return c.JSON(http.StatusOK, answer)
}

func readColleagueID(body []byte) (id string, err error) {
	if len(body) == 0 {
		return "", nil
	}
	r := api.NewReader(body)
	for name := range r.Object() {
		if name == "colleagueId" {
			id = r.Text()
		}
	}
	return id, r.End()
}
