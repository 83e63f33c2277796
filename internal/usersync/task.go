package usersync

import (
	"encoding/json"
	"time"
)

// Task is what the queue carries: a kind and identifiers, never state. It is
// written to the outbox in the transaction of the change that causes it.
type Task struct {
	// ID is unique: derived from its cause where a retry could make it twice.
	ID           string
	Organization string
	Kind         string
	Queue        string
	// FairnessKey is what shares the slots fairly: the tasks of one key (an
	// organization, an endpoint, a connection) never take more than their share.
	FairnessKey string
	Args        json.RawMessage
	// DueAt is when it may start; zero is at once.
	DueAt time.Time
	// Traceparent is the W3C trace context of what caused it; "" when unknown.
	Traceparent string
}

// Claim is a worker's right to work one task until another claims it. Every
// write of the run is fenced by its Token.
type Claim struct {
	TaskID       string
	Token        string
	Organization string
	Queue        string
	FairnessKey  string
	Args         json.RawMessage
	Traceparent  string
	// Failures counts the earlier runs that ended in an error.
	Failures int
	// Deaths counts the earlier runs in a row that nobody ended: their worker died, or
	// was not heard of for so long that the claim ran out.
	Deaths int
	// StartedAt is when the task was first claimed, by the database's clock.
	StartedAt time.Time
	// Coalesced are further tasks of the same kind and fairness key that are worked
	// in the same run, under the same token.
	Coalesced []Claim
	// Known is what the process already knows of the task: because it wrote the task
	// and works it at once, or because the kind claims its tasks together with what
	// they name. It is nil where nothing is known. The kind says what it holds.
	Known any
}

// All returns the claims of all tasks of the run, each by itself.
func (c Claim) All() []Claim {
	own := c
	own.Coalesced = nil
	return append([]Claim{own}, c.Coalesced...)
}

// TaskIDs returns the ids of all tasks of the run.
func (c Claim) TaskIDs() []string {
	ids := make([]string, 0, 1+len(c.Coalesced))
	ids = append(ids, c.TaskID)
	for _, a := range c.Coalesced {
		ids = append(ids, a.TaskID)
	}
	return ids
}
