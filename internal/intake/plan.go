package intake

import (
	"usersync/internal/pipeline"
	"usersync/internal/request"
	"usersync/internal/usersync"
)

// batchOf bounds the requests of one task. They are enough to share the task's
// statements, and few enough that the next organization does not wait long.
const batchOf = 64

// lot is what may share a task: requests of one organization and of one kind.
type lot struct {
	organization string
	kind         request.Kind
}

// Plan makes the tasks for what one commit accepted: one for up to batchOf user-syncs
// of one organization, one for as many of its events, and one for each request of
// another kind. It sets the TaskID of each request. The same requests always make the
// same tasks.
func Plan(accepted []*Acceptance) []usersync.Task {
	var order []lot
	var tasks []usersync.Task
	lots := map[lot][]*Acceptance{}
	for _, a := range accepted {
		if a.Kind != request.KindUserSync && a.Kind != request.KindEvent {
			a.TaskID = usersync.DeriveID(usersync.PrefixTask, a.RequestID)
			tasks = append(tasks, pipeline.TaskOf(a.Kind, a.TaskID, a.Organization(), a.Traceparent, a.RequestID))
			continue
		}
		l := lot{a.Organization(), a.Kind}
		if lots[l] == nil {
			order = append(order, l)
		}
		lots[l] = append(lots[l], a)
	}
	for _, l := range order {
		list := lots[l]
		for len(list) > 0 {
			n := min(len(list), batchOf)
			tasks = append(tasks, task(l, list[:n]))
			list = list[n:]
		}
	}
	return tasks
}

// task makes the task of a batch and sets the TaskID of its requests.
func task(l lot, batch []*Acceptance) usersync.Task {
	id := usersync.DeriveID(usersync.PrefixTask, batch[0].RequestID)
	ids := make([]string, len(batch))
	for i, a := range batch {
		a.TaskID, ids[i] = id, a.RequestID
	}
	return pipeline.TaskOf(l.kind, id, l.organization, batch[0].Traceparent, ids...)
}
