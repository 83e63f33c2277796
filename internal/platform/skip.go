package platform

import "usersync/internal/usersync"

// Reasons a platform step was skipped.
const (
	ReasonConnectionPaused       = "connection_paused"
	ReasonConnectionDisconnected = "connection_disconnected"
	ReasonConnectionDeleted      = "connection_deleted"
	ReasonErased                 = "erased"
	// ReasonAway is of a user who was taken off the connection's list by a call.
	ReasonAway = "taken_off"
	// ReasonNothingToLeave is of a user who was to leave what the connection does not have.
	ReasonNothingToLeave = "nothing_to_leave"
	// ReasonOvertaken is of a push, or an absence, after which the other was wanted.
	ReasonOvertaken = "overtaken"
)

// SkipReason says why nothing is pushed to a connection of this status; "" for
// an active one.
func SkipReason(connectionStatus string) string {
	switch connectionStatus {
	case ConnectionActive:
		return ""
	case ConnectionPaused:
		return ReasonConnectionPaused
	case ConnectionDisconnected:
		return ReasonConnectionDisconnected
	}
	return ReasonConnectionDeleted
}

// SkipSentence says why a connection is passed over and what brings it back.
func SkipSentence(reason string, mode usersync.PushMode) string {
	what := "pushed"
	if mode == usersync.PushAbsence {
		what = "taken off"
	}
	switch reason {
	case ReasonConnectionPaused:
		return "The connection is paused; the user is " + what + " when it is resumed"
	case ReasonConnectionDisconnected:
		return "The connection is disconnected, and its reason says why; the user is " + what + " when that is repaired"
	}
	return "The connection was deleted"
}
