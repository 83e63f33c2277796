package platform

import "usersync/internal/request"

// Reasons a platform step was skipped.
const (
	ReasonConnectionPaused       = request.ReasonConnectionPaused
	ReasonConnectionDisconnected = request.ReasonConnectionDisconnected
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

// SkipSentence says why nothing is done at a connection, and not later either.
func SkipSentence(reason string) string {
	switch reason {
	case ReasonConnectionPaused:
		return "The connection is paused"
	case ReasonConnectionDisconnected:
		return "The connection is disconnected, and its reason says why"
	}
	return "The connection was deleted"
}
