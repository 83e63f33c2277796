package pipeline

import (
	"slices"
	"testing"

	"usersync/internal/store"
	"usersync/internal/usersync"
)

// The list of queued requests finds them by what their tasks name.
func TestTasksNameTheirRequestsToTheStore(t *testing.T) {
	t.Parallel()
	id := usersync.NewID(usersync.PrefixRequest)
	for _, kind := range usersync.RequestKinds {
		for _, task := range append(Plan([]*store.Acceptance{{RequestID: id, Kind: kind}}), Again(kind, "org", id, 2, "")) {
			named, err := store.TaskRequests(task.Args)
			if err != nil || !slices.Equal(named, []string{id}) {
				t.Errorf("the task %s of a %s names %v, %v", task.Args, kind, named, err)
			}
			if task.Queue != "run" && task.Queue != "bulk" || task.Lane != task.Organization {
				t.Errorf("the task of a %s is in the queue %s and the lane %s", kind, task.Queue, task.Lane)
			}
		}
	}
	many := []*store.Acceptance{{RequestID: "req_1", Kind: usersync.KindUserSync}, {RequestID: "req_2", Kind: usersync.KindUserSync}}
	if named, err := store.TaskRequests(Plan(many)[0].Args); err != nil || !slices.Equal(named, []string{"req_1", "req_2"}) {
		t.Errorf("the task of a batch names %v, %v", named, err)
	}
}
