package connector

import (
	"bytes"
	"slices"

	"usersync/internal/usersync"
)

// Unexpected is the error of an answer that has the status of a success and not its
// content, such as the page of a maintenance. Nobody knows what the platform did.
func Unexpected(platform string) error {
	return usersync.Errorf(usersync.CodeUnavailable, "%s's answer is not the one to this call.", platform)
}

// Expect returns the error Unexpected unless an answer has one of the statuses.
func Expect(platform string, r *Response, statuses ...int) error {
	if r == nil || !slices.Contains(statuses, r.Status) {
		return Unexpected(platform)
	}
	return nil
}

// IsEmpty reports whether an answer says nothing: it has no body, or one without
// content.
func IsEmpty(r *Response) bool {
	if r == nil || r.Truncated {
		return false
	}
	return slices.Contains([]string{"", "{}", "[]", "null"}, string(bytes.TrimSpace(r.Body)))
}
