package queue

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"usersync/internal/usersync"
)

// These are the queues. Each has an Asynq server with slots of its own, so that work
// of one sort never waits for work of another.
const (
	Run     = "run"
	Push    = "push" // to platforms
	Deliver = "deliver"
	Bulk    = "bulk" // long work whose end no caller waits for
)

// Queues lists the queues.
var Queues = []string{Run, Push, Deliver, Bulk}

// A Kind is one type of task. It has a name, a queue and a timeout for one run. Its
// arguments have type A and hold identifiers, not state.
type Kind[A any] struct {
	Name    string // is stored in the outbox and in Redis, so it must never change
	Queue   string
	Timeout time.Duration
	// Coalesce is how many bytes of arguments a run may take of other tasks that wait
	// under its fairness key; see usersync.Claim.Coalesced. 0 means that it takes
	// none.
	Coalesce int
}

// Batch is implemented by arguments that name several items. A batch that cannot be
// worked as a whole is split into one task for each item.
type Batch[A any] interface {
	Items() []string
	Only(item string) A
}

// Task returns a task of this kind. Tasks with the same fairness key share their
// turns. The caller fills the other fields.
func (k Kind[A]) Task(id, organization, fairnessKey string, args A) usersync.Task {
	encoded, err := json.Marshal(args)
	if err != nil {
		panic(fmt.Sprintf("queue: arguments of %s cannot be JSON: %v", k.Name, err))
	}
	return usersync.Task{ID: id, Organization: organization, Kind: k.Name, Queue: k.Queue, FairnessKey: fairnessKey, Args: encoded}
}

// A Handler is a kind bound to the functions that work it.
type Handler struct {
	Kind     string
	Queue    string
	Timeout  time.Duration
	Coalesce int
	// Claim claims a task together with what its run needs to know, which the claim
	// brings along as Known. ok is false when there is nothing to do. It is nil for a
	// kind that the worker claims as it claims any other.
	Claim func(ctx context.Context, taskID string, generation int64) (c usersync.Claim, ok bool, err error)
	// Run works a claimed task. It ends the claim itself, in the transaction that
	// writes the outcome. An error means that nothing was written and that the whole
	// task is to be tried again. It returns the tasks that it wrote for this process
	// to work at once, each in a slot that is reserved for it.
	Run func(ctx context.Context, c usersync.Claim) ([]LocalTask, error)
	// GiveUp ends a task that failed too often. It gives the task's items a final
	// status.
	GiveUp func(ctx context.Context, c usersync.Claim, cause error) error
	// Parts returns the arguments of a batch for each item by itself. It returns nil
	// for a task that is no batch.
	Parts func(args json.RawMessage) (map[string]json.RawMessage, error)
}

// Work is Run for a process that has no slots for local tasks, so no tasks come back.
func (h Handler) Work(ctx context.Context, c usersync.Claim) error {
	_, err := h.Run(ctx, c)
	return err
}

// ArgsOf returns the arguments of each task of a claim.
func (k Kind[A]) ArgsOf(c usersync.Claim) ([]A, error) {
	all := make([]A, 0, 1+len(c.Coalesced))
	for _, one := range c.All() {
		args, err := decode[A](k.Name, one.Args)
		if err != nil {
			return nil, fmt.Errorf("read the task %s: %w", one.TaskID, err)
		}
		all = append(all, args)
	}
	return all, nil
}

// Work binds the kind to its functions.
func (k Kind[A]) Work(work func(context.Context, usersync.Claim, A) error, giveUp func(context.Context, usersync.Claim, A, error) error) Handler {
	return k.WorkLocal(func(ctx context.Context, c usersync.Claim, args A) ([]LocalTask, error) {
		return nil, work(ctx, c, args)
	}, giveUp)
}

// WorkLocal is Work for a function that writes tasks which this process works itself.
func (k Kind[A]) WorkLocal(work func(context.Context, usersync.Claim, A) ([]LocalTask, error), giveUp func(context.Context, usersync.Claim, A, error) error) Handler {
	return Handler{
		Kind: k.Name, Queue: k.Queue, Timeout: k.Timeout, Coalesce: k.Coalesce,
		Run: func(ctx context.Context, c usersync.Claim) ([]LocalTask, error) {
			args, err := decode[A](k.Name, c.Args)
			if err != nil {
				return nil, fmt.Errorf("read the task to work: %w", err)
			}
			return work(ctx, c, args)
		},
		GiveUp: func(ctx context.Context, c usersync.Claim, cause error) error {
			args, err := decode[A](k.Name, c.Args)
			if err != nil {
				return fmt.Errorf("read the task to give up: %w", err)
			}
			return giveUp(ctx, c, args, cause)
		},
		Parts: func(raw json.RawMessage) (map[string]json.RawMessage, error) {
			args, err := decode[A](k.Name, raw)
			if err != nil {
				return nil, fmt.Errorf("read the task to split: %w", err)
			}
			return parts(args)
		},
	}
}

func decode[A any](kind string, raw json.RawMessage) (args A, err error) {
	if err := json.Unmarshal(raw, &args); err != nil {
		return args, usersync.Errorf(usersync.CodeInvalid, "the arguments of a %s task cannot be read", kind).Because(err)
	}
	return args, nil
}

func parts[A any](args A) (map[string]json.RawMessage, error) {
	batch, ok := any(args).(Batch[A])
	if !ok {
		return nil, nil
	}
	out := map[string]json.RawMessage{}
	for _, item := range batch.Items() {
		encoded, err := json.Marshal(batch.Only(item))
		if err != nil {
			return nil, fmt.Errorf("encode the arguments of an item: %w", err)
		}
		out[item] = encoded
	}
	return out, nil
}
