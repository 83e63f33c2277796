package bulk

import (
	"strings"

	"usersync/internal/usersync"
)

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
