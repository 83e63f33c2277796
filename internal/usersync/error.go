package usersync

import (
	"errors"
	"fmt"
	"time"
)

// Code says what went wrong in words both edges understand: the API turns it
// into a status, the worker into a retry decision. docs/errors.md is printed
// from Codes.
type Code string

// The codes, see Codes for what each means.
const (
	CodeInvalid      Code = "invalid"
	CodeUnauthorized Code = "unauthorized"
	CodeForbidden    Code = "forbidden"
	CodeNotFound     Code = "not_found"
	CodeConflict     Code = "conflict"
	CodeNoCredit     Code = "no_credit"
	CodeRejected     Code = "rejected"
	CodeDisconnected Code = "disconnected"
	CodeRateLimited  Code = "rate_limited"
	CodeUnavailable  Code = "unavailable"
	CodeInternal     Code = "internal"
)

// Owner says whose fault an error is, in the words of the API.
type Owner string

// The owners of an error.
const (
	OwnerYou      Owner = "you"
	OwnerPlatform Owner = "platform"
	OwnerUs       Owner = "us"
)

// CodeInfo describes one code for people: what it means, who can repair it and what
// to do next.
type CodeInfo struct {
	Code    Code
	Meaning string
	Owner   Owner
	Hint    string
	// Retryable reports whether trying again unchanged can succeed.
	Retryable bool
}

// Codes lists every code, in the order of the documentation.
var Codes = []CodeInfo{
	{CodeInvalid, "The input is wrong.", OwnerYou, "Correct the named field and send it again.", false},
	{CodeUnauthorized, "The caller is not known.", OwnerYou, "Send a valid API key.", false},
	{CodeForbidden, "The caller is known but may not do this.", OwnerYou, "Use a key with the needed scope, or have the feature enabled.", false},
	{CodeNotFound, "There is no such thing in this organization.", OwnerYou, "Check the id.", false},
	{CodeConflict, "The input contradicts what is stored.", OwnerYou, "Read the present state and decide again.", false},
	{CodeNoCredit, "The credit balance is used up.", OwnerYou, "Add credits. What waits goes on by itself, and what has failed can be retried.", false},
	{CodeRejected, "The other side refuses this user or message and will refuse it again.", OwnerPlatform, "Read the message, and correct the user's data or the receiver.", false},
	{CodeDisconnected, "The platform refuses our credentials, and nothing more is pushed to it.", OwnerYou, "Give the connection new credentials.", false},
	{CodeRateLimited, "There were too many calls. The call is made again at the time given, and counts as no failure.", OwnerPlatform, "You need do nothing.", true},
	{CodeUnavailable, "The other side gave no answer, or none that is of use. The call is made again.", OwnerPlatform, "You need do nothing. If it lasts, look at the other side's status.", true},
	{CodeInternal, "Something went wrong on our side.", OwnerUs, "Quote the request id to support.", true},
}

// Info returns the description of c; unknown codes are described as internal.
func (c Code) Info() CodeInfo {
	for _, info := range Codes {
		if info.Code == c {
			return info
		}
	}
	return CodeInternal.Info()
}

// Retryable reports whether trying again unchanged can succeed.
func (c Code) Retryable() bool { return c.Info().Retryable }

// ErrDatabaseAway is among the causes of an error of code unavailable by which the
// database says "not now": it is down, starting, stopping, full, read-only, or has cut a
// statement short. The store logs once that it is so, and nobody else needs to.
var ErrDatabaseAway = errors.New("the database does not do this now")

// Error is the only error type that crosses package borders.
type Error struct {
	Code Code
	// Message is safe to show to the caller.
	Message string
	// Fields names the wrong fields of an invalid input, when known.
	Fields []FieldError
	// RetryAfter is how long to wait before trying again; zero when unknown.
	RetryAfter time.Duration
	// Err is the cause, for the log only.
	Err error
}

// FieldError says what is wrong with one field of an input.
type FieldError struct {
	Field   string `json:"field"`
	Message string `json:"message"`
}

// Error returns code, message and cause: text for the log.
func (e *Error) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("%s: %s: %v", e.Code, e.Message, e.Err)
	}
	return fmt.Sprintf("%s: %s", e.Code, e.Message)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Errorf returns an Error whose message may be shown to the caller.
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// Because returns e with a cause for the log.
func (e *Error) Because(err error) *Error {
	e.Err = err
	return e
}

// AsError returns err as an *Error: itself when it is one, else an internal
// error with a message that shows nothing. It returns nil for nil.
func AsError(err error) *Error {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return Errorf(CodeInternal, "Something went wrong on our side.").Because(err)
}

// CodeOf returns the code of err: "" for nil, CodeInternal for a foreign error.
func CodeOf(err error) Code {
	if err == nil {
		return ""
	}
	return AsError(err).Code
}
