package commands

import "errors"

// misuse is an error of what was typed.
type misuse struct{ error }

func (m misuse) Unwrap() error { return m.error }

// Misused returns an error of what was typed; nil for none.
func Misused(err error) error {
	if err == nil {
		return nil
	}
	return misuse{err}
}

// IsMisuse reports whether an error is of what was typed: nothing was done.
func IsMisuse(err error) bool {
	_, ok := errors.AsType[misuse](err)
	return ok
}
