package directory

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"usersync/internal/api"
	"usersync/internal/identity"
	"usersync/internal/password"
	"usersync/internal/record"
	"usersync/internal/user"
	"usersync/internal/usersync"
)

// errInput is the cause of a refusal of what stands in a body: E400_00.
var errInput = usersync.Errorf(usersync.CodeInvalid, "Invalid InputModel")

// wrongInput is the refusal of a field of a body.
func wrongInput(field, fault string) error { return api.Invalid(field, fault).Because(errInput) }

// The names of what bodies say. They match in any case.
const (
	emailField      = "email"
	loginNameField  = "loginName"
	passwordField   = "password"
	codeField       = "verificationCode"
	firstNameField  = "firstName"
	lastNameField   = "lastName"
	metadataField   = "metadata"
	verifyField     = "verifyEmail"
	returnField     = "returnUrl"
	verifiedField   = "verified"
	logoutField     = "lastLogoutDate"
	noLogoutField   = "removeLastLogoutDate"
	idField         = "customerRegistrationId"
	encryptedField  = "encryptedCustomerRegistrationId"
	ignoreField     = "ignoreProvider"
	logoutAttribute = "lastLogoutDate"
)

// maxText bounds addresses and codes in characters, before they are looked at.
const maxText = 512

// input is what a body says.
type input struct {
	email             usersync.Email
	password, code    usersync.Secret
	returnURL         string
	user              usersync.UserInput
	verifyEmail       bool
	verified          *bool
	said              map[string]bool
	emailText, idText string
	removeLogout      bool
}

// readInput reads a body that may say fields and has to say required. All faults are told
// at once.
func readInput(c *api.Call, fields []string, required ...string) (*input, error) {
	body, err := c.Body()
	if err != nil {
		return nil, err
	}
	in := &input{said: map[string]bool{}}
	if len(body) == 0 {
		body = []byte("{}")
	}
	r := api.NewReader(body)
	if r.Kind() == api.KindNull {
		r.Wrong("must be an object")
	}
	for sent := range r.Object() {
		in.read(r, nameOf(sent, fields))
	}
	if err := r.End(); err != nil {
		if e := usersync.AsError(err); len(e.Fields) > 0 {
			return nil, e.Because(errInput)
		}
		return nil, err
	}
	for _, name := range required {
		if !in.said[name] {
			return nil, wrongInput(name, "is required")
		}
	}
	return in, in.check()
}

// nameOf returns the field that a name stands for, "" for none.
func nameOf(sent string, fields []string) string {
	i := slices.IndexFunc(fields, func(f string) bool { return strings.EqualFold(f, sent) })
	if i < 0 {
		return ""
	}
	return fields[i]
}

// read reads one member. null says nothing, but of names.
func (in *input) read(r *api.Reader, name string) {
	if name == "" {
		r.Wrong("is not a known field")
		return
	}
	if r.Kind() != api.KindNull {
		in.said[name] = true
	}
	switch name {
	case emailField, loginNameField:
		in.emailText = strings.TrimSpace(r.ShortText(maxText))
	case passwordField:
		in.password = usersync.NewSecret(r.Text())
	case codeField:
		in.code = usersync.NewSecret(r.ShortText(maxText))
	case firstNameField:
		in.user.FirstName = in.name(r, usersync.FieldFirstName)
	case lastNameField:
		in.user.LastName = in.name(r, usersync.FieldLastName)
	case metadataField:
		in.readMetadata(r)
	case verifyField:
		in.verifyEmail = r.Bool()
	case returnField:
		in.returnURL = strings.TrimSpace(r.ShortText(user.MaxLink))
	case verifiedField:
		in.readVerified(r)
	case logoutField:
		in.readLogout(r)
	case noLogoutField:
		in.removeLogout = r.Bool()
	case idField, encryptedField:
		in.idText += r.ShortText(user.MaxLink)
	case ignoreField:
		r.Bool() // what is written is written to our store alone
	}
}

// name reads a name of the user. null and a text without characters clear it.
func (in *input) name(r *api.Reader, f usersync.Field) string {
	text := strings.TrimSpace(r.ShortText(user.MaxField))
	if text == "" {
		in.user.Cleared = append(in.user.Cleared, f)
	}
	return text
}

func (in *input) readVerified(r *api.Reader) {
	if r.Kind() == api.KindNull {
		r.Skip()
		return
	}
	verified := r.Bool()
	in.verified = &verified
}

func (in *input) readLogout(r *api.Reader) {
	text := r.ShortText(maxText)
	if text == "" {
		return
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		r.Wrong("must be a time like 2026-11-22T10:00:00Z")
		return
	}
	in.set(logoutAttribute, at.UTC().Format(time.RFC3339))
}

func (in *input) set(name string, value any) {
	if in.user.Attributes == nil {
		in.user.Attributes = map[string]any{}
	}
	in.user.Attributes[name] = value
}

// readMetadata reads metadata as attributes. A text without characters and null clear one.
// Names that an answer has are taken in any case, and others as they are.
func (in *input) readMetadata(r *api.Reader) {
	members := 0
	for sent := range r.Object() {
		members++
		name := sent
		if known := nameOf(sent, record.Keys); known != "" {
			name = known
		}
		switch {
		case name == "" || utf8.RuneCountInString(name) > user.MaxName:
			r.Wrong("must have a name of 1 to " + strconv.Itoa(user.MaxName) + " characters")
		case strings.EqualFold(name, record.VerifiedAttribute) || strings.EqualFold(name, logoutAttribute):
			r.Wrong("is no metadata, but a field beside them")
		default:
			in.set(name, readValue(r))
		}
	}
	if members > user.MaxMembers {
		r.Wrong("must have at most " + strconv.Itoa(user.MaxMembers) + " members")
	}
	if usersync.SizeOf(in.user.Attributes) > usersync.MaxAttributes {
		r.Wrong("must have at most " + strconv.Itoa(usersync.MaxAttributes) + " bytes in all")
	}
}

// readValue reads a value of the metadata; nil clears.
func readValue(r *api.Reader) any {
	switch r.Kind() {
	case api.KindString:
		text := strings.TrimSpace(r.Text())
		if len(text) > user.MaxValue {
			r.Wrong("must have at most " + strconv.Itoa(user.MaxValue) + " bytes")
		}
		if text == "" {
			return nil
		}
		return text
	case api.KindNumber:
		return r.Digits(user.MaxDigits)
	case api.KindBool:
		return r.Bool()
	case api.KindNull:
		r.Skip()
		return nil
	}
	r.Wrong("must be a string, a number, true, false or null")
	r.Skip()
	return nil
}

// check looks at what was read.
func (in *input) check() error {
	if in.said[emailField] || in.said[loginNameField] {
		field := emailField
		if in.said[loginNameField] {
			field = loginNameField
		}
		email, err := identity.ParseEmail(in.emailText)
		if err != nil {
			return wrongInput(field, "must be an e-mail address")
		}
		in.email, in.user.Email = email, email
	}
	if in.idText != "" {
		return wrongInput(idField, "must not be there: it is given by this service")
	}
	if in.removeLogout {
		in.set(logoutAttribute, nil)
	}
	if in.returnURL == "" {
		return nil
	}
	u, err := url.Parse(in.returnURL)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil {
		return wrongInput(returnField, "must be an http or https URL")
	}
	return nil
}

// checkPassword refuses the password of a new user, who need not have one.
func (in *input) checkPassword() error {
	if in.password.IsZero() {
		return nil
	}
	return in.checkNewPassword()
}

// checkNewPassword refuses a new password that is too short or too long.
func (in *input) checkNewPassword() error {
	if password.Valid(in.password.Reveal()) {
		return nil
	}
	return wrongInput(passwordField, "must have at least "+strconv.Itoa(password.Least)+" characters, and at most "+strconv.Itoa(password.Most)+" bytes")
}
