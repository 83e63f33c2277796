package connector

import (
	"cmp"
	"errors"
	"regexp"
	"strings"

	"usersync/internal/usersync"
)

// Faults gathers what is wrong with the settings of a connection.
type Faults []usersync.FieldError

// Add adds a fault of a field when something is wrong with it.
func (f *Faults) Add(wrong bool, field, message string) { //lint:flag wrong is the condition that is checked
	if wrong {
		*f = append(*f, usersync.FieldError{Field: field, Message: message})
	}
}

// AddError adds an error of a field unless it is nil.
func (f *Faults) AddError(field string, err error) {
	if err != nil {
		f.Add(true, field, usersync.AsError(err).Message)
	}
}

// Err returns the faults as one error of code invalid. It returns nil if there are
// none.
func (f Faults) Err() error {
	if len(f) == 0 {
		return nil
	}
	return &usersync.Error{Code: usersync.CodeInvalid, Message: "The connection is not complete.", Fields: f}
}

// WrongSetting is the error of a check for a setting that names what the platform
// does not have.
func WrongSetting(name, message string) *usersync.Error {
	return &usersync.Error{Code: usersync.CodeDisconnected, Message: message,
		Fields: []usersync.FieldError{{Field: "settings." + name, Message: message}}}
}

// NameOf returns the name of the thing of a kind, such as "list", with an id. If no
// check has found the name, it returns the id.
func (f Facts) NameOf(kind, id string) string { return cmp.Or(f.Labels[kind+":"+id], id) }

// ErrGone is among the causes of an error of code rejected of a push to a thing that only
// this push names. Whoever the push is about, it is refused.
var ErrGone = errors.New("connector: the platform does not have what the call names")

// Gone is the error of a push to a thing that the platform does not have. It is
// the connection's fault when a check has seen the thing. Otherwise only this push
// names it, as a bulk call may, and the push is rejected, see ErrGone.
func (f Facts) Gone(kind, id, message string) *usersync.Error {
	if _, checked := f.Labels[kind+":"+id]; checked {
		return usersync.Errorf(usersync.CodeDisconnected, "%s", message)
	}
	return usersync.Errorf(usersync.CodeRejected, "%s", message).Because(ErrGone)
}

var number = regexp.MustCompile(`^[0-9]{1,18}$`)

// IsNumber reports whether a text is a number as platforms give them as ids.
func IsNumber(text string) bool { return number.MatchString(text) }

// NumberID is a number that a platform writes as a text in one place and as a
// number in another.
type NumberID string

// UnmarshalJSON takes digits, with or without quotes. Anything else is "".
func (id *NumberID) UnmarshalJSON(b []byte) error {
	if text := strings.Trim(string(b), `"`); IsNumber(text) {
		*id = NumberID(text)
	}
	return nil
}
