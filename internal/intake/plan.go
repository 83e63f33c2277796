package intake

import (
	"usersync/internal/pipeline"
	"usersync/internal/request"
	"usersync/internal/usersync"
)

// batchOf bounds the requests of one task. They are enough to share the task's
// statements, and few enough that the next organization does not wait long.
const batchOf = 64

// Plan makes the tasks for what one commit accepted: one for up to batchOf user-syncs
// of one organization, and one for each request of another kind. It sets the TaskID
// of each request. The same requests always make the same tasks.
func Plan(accepted []*Acceptance) []usersync.Task {
	var order []string
	var tasks []usersync.Task
	byOrganization := map[string][]*Acceptance{}
	for _, a := range accepted {
		o := a.Organization()
		if a.Kind != request.KindUserSync {
			a.TaskID = usersync.DeriveID(usersync.PrefixTask, a.RequestID)
			tasks = append(tasks, pipeline.TaskOf(a.Kind, a.TaskID, o, a.RequestID, a.Traceparent))
			continue
		}
		if byOrganization[o] == nil {
			order = append(order, o)
		}
		byOrganization[o] = append(byOrganization[o], a)
	}
	for _, o := range order {
		list := byOrganization[o]
		for len(list) > 0 {
			n := min(len(list), batchOf)
			tasks = append(tasks, task(o, list[:n]))
			list = list[n:]
		}
	}
	return tasks
}

// task makes the task of a batch of user-syncs and sets their TaskID.
func task(organization string, batch []*Acceptance) usersync.Task {
	id := usersync.DeriveID(usersync.PrefixTask, batch[0].RequestID)
	args := pipeline.RunArgs{}
	for _, a := range batch {
		a.TaskID = id
		args.RequestIDs = append(args.RequestIDs, a.RequestID)
	}
	t := pipeline.Run.Task(id, organization, organization, args)
	t.Traceparent = batch[0].Traceparent
	return t
}
