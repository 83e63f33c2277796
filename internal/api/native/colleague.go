package native

import (
	"fmt"
	"net/http"

	"usersync/internal/api"
	"usersync/internal/colleague"
	"usersync/internal/management"
)

// listColleagues is GET /v1/colleagues-list: a bare array.
func (h *Handlers) listColleagues(c *api.Call) error {
	query, err := c.Query()
	if err != nil {
		return fmt.Errorf("read the query: %w", err)
	}
	list, err := h.Management.ListColleagues(c.Context(), c.Caller, query.Get("email"))
	return c.Answer(http.StatusOK, append([]colleague.Colleague{}, list...), err)
}

// createColleague is POST /v1/colleagues-create.
func (h *Handlers) createColleague(c *api.Call) error {
	in, err := readBody(c, readColleague)
	if err != nil {
		return err
	}
	made, err := h.Management.CreateColleague(c.Context(), c.Actor, c.Caller, in)
	return c.Answer(http.StatusCreated, made, err)
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
func (h *Handlers) updateColleague(c *api.Call) error {
	in, err := readBody(c, readColleagueChange)
	if err != nil {
		return err
	}
	updated, err := h.Management.UpdateColleague(c.Context(), c.Actor, c.Caller, in)
	return c.Answer(http.StatusOK, updated, err)
}

func readColleagueChange(body []byte) (in management.ColleagueChange, err error) {
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

// invitationBody is the answer to POST /v1/send-invitation: the fields of the
// contract in its order.
type invitationBody struct {
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

// sendInvitation is POST /v1/send-invitation. The answer is 200 also when the
// e-mail cannot be sent, and says why.
func (h *Handlers) sendInvitation(c *api.Call) error {
	id, err := readBody(c, readColleagueID)
	if err != nil {
		return err
	}
	sent, err := h.Management.Invite(c.Context(), c.Actor, c.Caller, id)
	return c.Answer(http.StatusOK, newInvitationBody(c.ID, sent), err)
}

func newInvitationBody(callID string, sent management.Invitation) invitationBody {
	body := invitationBody{Success: true, RequestID: callID, Invite: sent.Colleague, EmailSent: sent.Err == nil}
	if sent.Err != nil {
		body.EmailError = &sent.Err.Message
		return body
	}
	body.EmailResult = &emailResult{sent.MessageID}
	return body
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
