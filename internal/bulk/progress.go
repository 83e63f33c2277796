package bulk

import (
	"strings"

	"usersync/internal/request"
	"usersync/internal/usersync"
)

// Error is a user of a bulk that failed or was skipped, and why.
type Error struct {
	RequestID string `json:"-"`
	UserID    string `json:"userId"`
	// Email is the user's; "" for one that is not known, or not any more.
	Email   string             `json:"email"`
	Status  request.StepStatus `json:"status"` // failed or skipped
	Code    string             `json:"code"`   // a Code, or the reason of a skipped one
	Message string             `json:"message"`
}

// prefixSync is the prefix of the names that marketing clients know bulks by.
const prefixSync = "sync_"

// SyncID is the name of a bulk in the marketing dialect: the request's own with
// another prefix.
func SyncID(requestID string) string {
	return prefixSync + strings.TrimPrefix(requestID, string(usersync.PrefixRequest)+"_")
}

// RequestOf is the inverse of SyncID; any other id stays as it is.
func RequestOf(id string) string {
	if rest, ok := strings.CutPrefix(id, prefixSync); ok {
		return string(usersync.PrefixRequest) + "_" + rest
	}
	return id
}
