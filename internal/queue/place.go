package queue

import "usersync/internal/usersync"

// A Place is kept at a worker for one task that the same process is about to
// write: the task is claimed as it is written and worked as soon as that is
// committed, without a way over Redis.
type Place struct {
	// Work begins with the task once it is committed.
	Work func(usersync.Claim)
	// Free gives the place back when nothing came of it.
	Free func()
}
