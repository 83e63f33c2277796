package directory

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"usersync/internal/api"
	"usersync/internal/record"
	"usersync/internal/registration"
	"usersync/internal/usersync"
)

// errWorkflow is the cause of an error of a call that was to change something: E500_01.
var errWorkflow = errors.New("the change failed")

// writing makes the handler of a call that changes something. What goes wrong in it by our
// fault is E500_01.
func writing(handler func(*api.Call) error) func(*api.Call) error {
	return func(c *api.Call) error {
		err := handler(c)
		if err == nil || usersync.CodeOf(err) != usersync.CodeInternal {
			return err
		}
		return usersync.Errorf(usersync.CodeInternal, "There was a problem during the workflow. %s", c.Quote()).Because(errors.Join(errWorkflow, err))
	}
}

// caller returns who calls.
func caller(c *api.Call) registration.Caller {
	return registration.Caller{
		Organization: c.Caller.Organization, Org: c.Caller.Org, Actor: c.Actor,
		SourceSystem: strings.TrimSpace(c.Request().Header.Get(headerSource)), Cause: c.ID, Traceparent: c.Traceparent(),
		Network: api.NetworkOf(c.Request().RemoteAddr),
	}
}

// The messages of what was done. The page that we have names S200_02, S200_08, S200_11 and
// S200_12; the others are ours.
var (
	messageCreated       = success("S200_03", "Create completed.")
	messageUpdated       = success("S200_04", "Update completed.")
	messageAuthenticated = success("S200_05", "Authentication completed.")
	messageVerified      = success("S200_06", "Verification completed.")
	messageSent          = success("S200_07", "Send VerificationCode completed.")
	messageForgot        = success("S200_08", "Start ForgotPassword completed.")
	messageReplaced      = success("S200_10", "Finish ForgotPassword completed.")
	messagePassword      = success("S200_11", "Update password completed.")
	messageEmail         = success("S200_12", "Update Email completed.")
)

func success(code, text string) message { return message{prefix + code, text, "Success"} }

// tell answers with a user.
func (h *Handlers) tell(c *api.Call, m message, r record.Record) error {
	return c.JSON(http.StatusOK, envelope{Message: m, Data: []shownUser{h.shown(c, r)}, Meta: meta{TotalRecords: 1}})
}

// done answers a call that tells of nobody.
func done(c *api.Call, m message) error { return c.JSON(http.StatusOK, envelope{Message: m}) }

// createUser is POST /v4/Users.
func (h *Handlers) createUser(c *api.Call) error {
	in, err := readInput(c, []string{emailField, passwordField, firstNameField, lastNameField, metadataField, verifyField, returnField,
		ignoreField, idField, encryptedField}, emailField)
	if err != nil {
		return err
	}
	if err := in.checkPassword(); err != nil {
		return err
	}
	there := false
	in.user.Removed = &there
	made, err := h.Registration.Create(c.Context(), caller(c), registration.NewUser{
		User: in.user, Password: in.password, VerifyEmail: in.verifyEmail, ReturnURL: in.returnURL,
	})
	if err != nil {
		return fmt.Errorf("register the user: %w", err)
	}
	return h.tell(c, messageCreated, made)
}

// idOf returns the id in the path.
func idOf(c *api.Call) (string, error) {
	id := c.Param(idName)
	if !usersync.HasPrefix(id, usersync.PrefixUser) {
		return "", wrongInput(idField, "must be one that an answer had")
	}
	return id, nil
}

// updateUser is PUT /v4/Users/{id}/.
func (h *Handlers) updateUser(c *api.Call) error {
	id, err := idOf(c)
	if err != nil {
		return err
	}
	in, err := readInput(c, []string{firstNameField, lastNameField, metadataField, verifiedField, logoutField, noLogoutField, ignoreField})
	if err != nil {
		return err
	}
	changed, err := h.Registration.Update(c.Context(), caller(c), id, registration.Change{User: in.user, Verified: in.verified})
	if err != nil {
		return fmt.Errorf("update the user: %w", err)
	}
	return h.tell(c, messageUpdated, changed)
}

// changeEmail is PATCH /v4/Users/{id}/Email.
func (h *Handlers) changeEmail(c *api.Call) error {
	id, err := idOf(c)
	if err != nil {
		return err
	}
	in, err := readInput(c, []string{emailField, ignoreField}, emailField)
	if err != nil {
		return err
	}
	if err := h.Registration.ChangeEmail(c.Context(), caller(c), id, in.email); err != nil {
		return fmt.Errorf("change the address: %w", err)
	}
	return done(c, messageEmail)
}

// changePassword is PATCH /v4/Users/{id}/Password.
func (h *Handlers) changePassword(c *api.Call) error {
	id, err := idOf(c)
	if err != nil {
		return err
	}
	in, err := readInput(c, []string{passwordField, ignoreField}, passwordField)
	if err != nil {
		return err
	}
	if err := in.checkNewPassword(); err != nil {
		return err
	}
	if err := h.Registration.ChangePassword(c.Context(), caller(c), id, in.password); err != nil {
		return fmt.Errorf("change the password: %w", err)
	}
	return done(c, messagePassword)
}

// signsIn are the names under which a body says whose login it is about.
var signsIn = []string{emailField, loginNameField}

// readLogin is readInput for a body that has to say whose login it is about.
func readLogin(c *api.Call, fields []string, required ...string) (*input, error) {
	in, err := readInput(c, append(fields, signsIn...), required...)
	if err != nil {
		return nil, err
	}
	if in.email.IsZero() {
		return nil, wrongInput(emailField, "is required")
	}
	return in, nil
}

// authenticate is POST /v4/Users/Authentication.
func (h *Handlers) authenticateUser(c *api.Call) error {
	in, err := readLogin(c, []string{passwordField, ignoreField}, passwordField)
	if err != nil {
		return err
	}
	who, err := h.Registration.Authenticate(c.Context(), caller(c), in.email, in.password)
	if err != nil {
		return fmt.Errorf("authenticate the user: %w", err)
	}
	return h.tell(c, messageAuthenticated, who)
}

// sendCode is POST /v4/Users/VerificationCode.
func (h *Handlers) sendCode(c *api.Call) error {
	in, err := readLogin(c, []string{returnField, ignoreField})
	if err != nil {
		return err
	}
	if err := h.Registration.SendCode(c.Context(), caller(c), in.email, in.returnURL); err != nil {
		return fmt.Errorf("send the code: %w", err)
	}
	return done(c, messageSent)
}

// verifyUser is POST /v4/Users/Verification.
func (h *Handlers) verifyUser(c *api.Call) error {
	in, err := readLogin(c, []string{codeField, ignoreField}, codeField)
	if err != nil {
		return err
	}
	who, err := h.Registration.Verify(c.Context(), caller(c), in.email, in.code)
	if err != nil {
		return fmt.Errorf("verify the user: %w", err)
	}
	return h.tell(c, messageVerified, who)
}

// beginPassword is POST /v4/Users/ForgotPassword.
func (h *Handlers) beginPassword(c *api.Call) error {
	in, err := readLogin(c, []string{returnField, ignoreField})
	if err != nil {
		return err
	}
	if err := h.Registration.BeginPassword(c.Context(), caller(c), in.email, in.returnURL); err != nil {
		return fmt.Errorf("begin the replacement of the password: %w", err)
	}
	return done(c, messageForgot)
}

// endPassword is PUT /v4/Users/ForgotPassword.
func (h *Handlers) endPassword(c *api.Call) error {
	in, err := readLogin(c, []string{codeField, passwordField, ignoreField}, codeField, passwordField)
	if err != nil {
		return err
	}
	if err := in.checkNewPassword(); err != nil {
		return err
	}
	if err := h.Registration.EndPassword(c.Context(), caller(c), in.email, in.code, in.password); err != nil {
		return fmt.Errorf("replace the password: %w", err)
	}
	return done(c, messageReplaced)
}
