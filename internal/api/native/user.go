package native

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"

	"usersync/internal/api"
	"usersync/internal/identity"
	"usersync/internal/intake"
	"usersync/internal/request"
	"usersync/internal/user"
	"usersync/internal/usersync"
)

// Bounds of what is said of a user. The contract sets none. Fields are shown to
// people, and attributes are sent to platforms.
const (
	maxField      = user.MaxField
	maxLink       = user.MaxLink
	maxAttributes = user.MaxMembers
	maxName       = user.MaxName
	maxValue      = user.MaxValue
	maxDigits     = user.MaxDigits
)

// The refusals of a user, in the words of the contract.
var (
	errNoEmail    = usersync.Errorf(usersync.CodeInvalid, "User email is required")
	errNoWrapper  = usersync.Errorf(usersync.CodeInvalid, `User email is required: the user must be the value of "user", as in {"user":{"email":…,"country":…}}`)
	errEmail      = usersync.Errorf(usersync.CodeInvalid, "User email is invalid")
	errNoCountry  = usersync.Errorf(usersync.CodeInvalid, "User IP (country) is required")
	errNotCountry = usersync.Errorf(usersync.CodeInvalid, "User country is unknown")
)

// syncUser is POST /v1/user-sync.
func (h *Handlers) syncUser(c *api.Call) error {
	sent, err := readBody(c, readUserBody)
	if err != nil {
		return err
	}
	user, err := sent.check()
	if err != nil {
		return fmt.Errorf("check the user: %w", err)
	}
	sub, err := c.Submit([]*intake.Acceptance{c.Acceptance(request.KindUserSync, c.ID, user)}, nil)
	if err != nil {
		return fmt.Errorf("accept the user: %w", err)
	}
	accepted := sub.Accepted[0]
	c.Header().Set("Location", "/v1/requests/"+accepted.RequestID)
	if report := finished(c, accepted.RequestID); report != nil {
		return c.JSON(http.StatusOK, report)
	}
	return c.Blob(http.StatusAccepted, "application/json", appendAccepted(make([]byte, 0, 256), accepted))
}

// finished returns the report of a request that finished while the caller
// waited. It returns nil when they do not wait and when the wait was too short.
// It returns nil for an error too, since the work is accepted all the same.
func finished(c *api.Call, id string) *request.View {
	if _, ok := c.Wait(); !ok {
		return nil
	}
	report, err := c.Report(id)
	if err != nil || !report.Status.Final() {
		return nil
	}
	return report
}

// appendAccepted writes the 202 of the contract: its fields in its order. The
// ids need no escapes.
func appendAccepted(to []byte, a *intake.Acceptance) []byte {
	to = append(to, `{"success":true,"status":"processing","requestId":"`...)
	to = append(to, a.RequestID...)
	to = append(to, `","userId":"`...)
	to = append(to, a.UserID...)
	return append(to, `","message":"Request accepted and is being processed asynchronously."}`...)
}

// sentUser is a user as it was sent: address and country are not checked yet.
type sentUser struct {
	usersync.UserInput
	email, country string
}

// readUserBody reads {"user": {…}}. A body that is not there holds no user. Whoever sends
// the user without what is to be around it is told so.
func readUserBody(body []byte) (sentUser, error) {
	var u sentUser
	if len(body) == 0 {
		return u, nil
	}
	r := api.NewReader(body)
	wrapped, bare := false, false
	for name := range r.Object() {
		switch name {
		case "user":
			u, wrapped = readUser(r), true
		case "email":
			bare = true
		}
	}
	if err := r.End(); err != nil {
		return u, err
	}
	if bare && !wrapped {
		return u, errNoWrapper
	}
	return u, nil
}

func readUser(r *api.Reader) (u sentUser) {
	for name := range r.Object() {
		switch name {
		case "userId":
			u.UserID = r.ShortText(maxField)
		case "email":
			u.email = r.Text()
		case "country":
			u.country = r.Text()
		case "firstName":
			u.FirstName = u.text(r, usersync.FieldFirstName, maxField)
		case "lastName":
			u.LastName = u.text(r, usersync.FieldLastName, maxField)
		case "name":
			u.Name = u.text(r, usersync.FieldName, maxField)
		case "jobTitle":
			u.JobTitle = u.text(r, usersync.FieldJobTitle, maxField)
		case "inviteLink":
			u.InviteLink = u.text(r, usersync.FieldInviteLink, maxLink)
		case "attributes":
			u.Attributes = readAttributes(r)
		case "consent":
			u.Consent = readConsents(r)
		}
	}
	return u
}

// text reads a field. null and a text without characters clear it.
func (u *sentUser) text(r *api.Reader, f usersync.Field, limit int) string {
	text := r.ShortText(limit)
	if text == "" && !u.Clears(f) {
		u.Cleared = append(u.Cleared, f)
	}
	return text
}

func readAttributes(r *api.Reader) map[string]any {
	attributes := map[string]any{}
	for name := range r.Object() {
		if len(name) == 0 || utf8.RuneCountInString(name) > maxName {
			r.Wrong("must have a name of 1 to " + strconv.Itoa(maxName) + " characters")
			continue
		}
		attributes[name] = readAttribute(r)
	}
	if len(attributes) > maxAttributes {
		r.Wrong("must have at most " + strconv.Itoa(maxAttributes) + " members")
	}
	if usersync.SizeOf(attributes) > usersync.MaxAttributes {
		r.Wrong("must have at most " + strconv.Itoa(usersync.MaxAttributes) + " bytes in all")
	}
	return attributes
}

// readAttribute reads a value. null, a text without characters and a list without members
// are nil, which clears the attribute.
func readAttribute(r *api.Reader) any {
	switch r.Kind() {
	case api.KindString:
		s := r.Text()
		if len(s) > maxValue {
			r.Wrong("must have at most " + strconv.Itoa(maxValue) + " bytes")
		}
		if s == "" {
			return nil
		}
		return s
	case api.KindNumber:
		return r.Digits(maxDigits)
	case api.KindBool:
		return r.Bool()
	case api.KindArray:
		return readList(r)
	case api.KindNull:
		r.Skip()
		return nil
	}
	r.Wrong("must be a string, a number, true, false, null or a list of strings")
	return nil
}

// readList reads a list of strings. Members without characters are left out.
func readList(r *api.Reader) any {
	var list []any
	size := 0
	for range r.Array() {
		text := r.Text()
		size += len(text)
		if text != "" {
			list = append(list, text)
		}
	}
	if size > maxValue {
		r.Wrong("must have at most " + strconv.Itoa(maxValue) + " bytes")
	}
	if len(list) == 0 {
		return nil
	}
	return list
}

// check returns the user as the pipeline takes it, or the first refusal.
func (u sentUser) check() (usersync.UserInput, error) {
	if strings.TrimSpace(u.email) == "" {
		return u.UserInput, errNoEmail
	}
	email, err := identity.ParseEmail(u.email)
	if err != nil {
		return u.UserInput, errEmail
	}
	if strings.TrimSpace(u.country) == "" {
		return u.UserInput, errNoCountry
	}
	country, ok := identity.ParseCountry(u.country)
	if !ok {
		return u.UserInput, errNotCountry
	}
	u.Email, u.Country = email, country
	return u.UserInput, nil
}
