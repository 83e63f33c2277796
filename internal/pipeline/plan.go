package pipeline

import (
	"strconv"

	"usersync/internal/request"
	"usersync/internal/usersync"
)

// Again returns the task of a further run of a request.
func Again(kind request.Kind, organization, requestID string, run int, traceparent string) usersync.Task {
	return TaskOf(kind, usersync.DeriveID(usersync.PrefixTask, requestID, "run", strconv.Itoa(run)), organization, requestID, traceparent)
}

// TaskOf returns a task that works one request.
func TaskOf(kind request.Kind, id, organization, requestID, traceparent string) (t usersync.Task) {
	switch kind {
	case request.KindPlatformSync:
		t = PlatformSync.Task(id, organization, organization, PlatformArgs{RequestID: requestID})
	case request.KindPlatformBulk:
		t = PlatformBulk.Task(id, organization, organization, PlatformArgs{RequestID: requestID})
	default:
		t = Run.Task(id, organization, organization, RunArgs{RequestIDs: []string{requestID}})
	}
	t.Traceparent = traceparent
	return t
}
