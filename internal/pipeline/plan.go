package pipeline

import (
	"strconv"

	"usersync/internal/person"
	"usersync/internal/store"
	"usersync/internal/usersync"
)

// batchOf bounds the requests of one task: enough to share its statements, few
// enough that the next organization does not wait long.
const batchOf = 64

// Plan makes tasks of what one commit accepted: one for up to batchOf user-syncs
// of one organization, one for each request of another kind. It tells each
// request its task. The same requests always make the same tasks.
func Plan(accepted []*store.Acceptance) []usersync.Task {
	var order []string
	var tasks []usersync.Task
	byOrganization := map[string][]*store.Acceptance{}
	for _, a := range accepted {
		o := a.Organization()
		if a.Kind != usersync.KindUserSync {
			a.TaskID = usersync.DeriveID(usersync.PrefixTask, a.RequestID)
			tasks = append(tasks, taskOf(a.Kind, a.TaskID, o, a.RequestID, a.Traceparent))
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

func task(organization string, batch []*store.Acceptance) usersync.Task {
	id := usersync.DeriveID(usersync.PrefixTask, batch[0].RequestID)
	args := RunArgs{}
	for _, a := range batch {
		a.TaskID = id
		args.RequestIDs = append(args.RequestIDs, a.RequestID)
	}
	t := Run.Task(id, organization, organization, args)
	t.Traceparent = batch[0].Traceparent
	return t
}

// Again returns the task of a further run of a request.
func Again(kind usersync.RequestKind, organization, requestID string, run int, traceparent string) usersync.Task {
	return taskOf(kind, usersync.DeriveID(usersync.PrefixTask, requestID, "run", strconv.Itoa(run)), organization, requestID, traceparent)
}

// taskOf returns a task that works one request.
func taskOf(kind usersync.RequestKind, id, organization, requestID, traceparent string) (t usersync.Task) {
	switch kind {
	case usersync.KindPlatformSync:
		t = PlatformSync.Task(id, organization, organization, PlatformArgs{RequestID: requestID})
	case usersync.KindPlatformBulk:
		t = PlatformBulk.Task(id, organization, organization, PlatformArgs{RequestID: requestID})
	default:
		t = Run.Task(id, organization, organization, RunArgs{RequestIDs: []string{requestID}})
	}
	t.Traceparent = traceparent
	return t
}

// PersonOf returns what the colleague search compares a user by. Only a work
// address tells a company.
func PersonOf(in usersync.UserInput) store.Person {
	p := store.Person{
		Key:        person.CanonicalKey(in.Email),
		Department: person.Department(in.JobTitle),
		Seniority:  person.Seniority(in.JobTitle),
	}
	if person.KindOf(in.Email) == person.Work {
		p.Company = person.Company(in.Email.Domain())
	}
	return p
}
