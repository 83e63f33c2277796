package delivery

import (
	"strings"

	"usersync/internal/usersync"
)

// RequestMessageIDs returns the ids of all messages that a request can have led to
// in its first runs.
func RequestMessageIDs(requestID string, runs int) []string {
	ids := make([]string, 0, runs*len(RequestMessageTypes))
	for run := 1; run <= runs; run++ {
		for _, t := range RequestMessageTypes {
			ids = append(ids, RequestMessageID(requestID, run, t))
		}
	}
	return ids
}

// IDRange returns the range of the ids of a message's deliveries: from low on, and
// below high. Each begins with the id of its message.
func IDRange(messageID string) (low, high string) {
	low = string(usersync.PrefixDelivery) + strings.TrimPrefix(messageID, string(usersync.PrefixMessage))
	return low, low + "~"
}
