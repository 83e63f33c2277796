package intake

import (
	"slices"
	"testing"

	"usersync/internal/pipeline"
	"usersync/internal/request"
	"usersync/internal/usersync"
)

// The list of queued requests finds them by what their tasks name.
func TestTasksNameTheirRequestsToTheStore(t *testing.T) {
	t.Parallel()
	id := usersync.NewID(usersync.PrefixRequest)
	for _, kind := range request.Kinds {
		for _, task := range append(Plan([]*Acceptance{{RequestID: id, Kind: kind}}), pipeline.Again(kind, "org", id, 2, "")) {
			named, err := request.IDsFromTaskArgs(task.Args)
			if err != nil || !slices.Equal(named, []string{id}) {
				t.Errorf("the task %s of a %s names %v, %v", task.Args, kind, named, err)
			}
			if task.Queue != "run" && task.Queue != "bulk" || task.FairnessKey != task.Organization {
				t.Errorf("the task of a %s is in the queue %s and the fairness key %s", kind, task.Queue, task.FairnessKey)
			}
		}
	}
	many := []*Acceptance{{RequestID: "req_1", Kind: request.KindUserSync}, {RequestID: "req_2", Kind: request.KindUserSync}}
	if named, err := request.IDsFromTaskArgs(Plan(many)[0].Args); err != nil || !slices.Equal(named, []string{"req_1", "req_2"}) {
		t.Errorf("the task of a batch names %v, %v", named, err)
	}
}
