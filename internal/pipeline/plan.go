package pipeline

import (
	"strconv"

	"usersync/internal/request"
	"usersync/internal/usersync"
)

// Again returns the task of a further run of a request.
func Again(kind request.Kind, organization, requestID string, run int, traceparent string) usersync.Task {
	return TaskOf(kind, usersync.DeriveID(usersync.PrefixTask, requestID, "run", strconv.Itoa(run)), organization, traceparent, requestID)
}

// TaskOf returns a task that works requests of one kind: one, or of user-syncs and events
// any number.
func TaskOf(kind request.Kind, id, organization, traceparent string, requestIDs ...string) (t usersync.Task) {
	switch kind {
	case request.KindPlatformSync:
		t = PlatformSync.Task(id, organization, organization, PlatformArgs{RequestID: requestIDs[0]})
	case request.KindPlatformBulk:
		t = PlatformBulk.Task(id, organization, organization, PlatformArgs{RequestID: requestIDs[0]})
	case request.KindEvent:
		t = EventRun.Task(id, organization, organization, RunArgs{RequestIDs: requestIDs})
	default:
		t = Run.Task(id, organization, organization, RunArgs{RequestIDs: requestIDs})
	}
	t.Traceparent = traceparent
	return t
}
