package queue_test

import (
	"context"
	"fmt"
	"time"

	"usersync/internal/queue"
	"usersync/internal/usersync"
)

// greetArgs names what a task is about. The handler reads the rows: a task carries no state.
type greetArgs struct {
	Users []string `json:"users"`
}

// Items and Only make a batch of it, which is split when it cannot be worked as a whole.
func (a greetArgs) Items() []string          { return a.Users }
func (greetArgs) Only(user string) greetArgs { return greetArgs{Users: []string{user}} }

// greet is a kind of task. Its name is kept in the database, so it never changes.
var greet = queue.Kind[greetArgs]{Name: "user.greet", Queue: queue.Bulk, Timeout: time.Minute}

// greetHandler binds the kind to what works it and to what ends it when it failed too often.
func greetHandler() queue.Handler {
	work := func(_ context.Context, c usersync.Claim, args greetArgs) error {
		fmt.Println(c.TaskID, "greets", args.Users)
		return nil
	}
	giveUp := func(_ context.Context, c usersync.Claim, _ greetArgs, cause error) error {
		fmt.Println(c.TaskID, "is given up:", cause)
		return nil
	}
	return greet.Work(work, giveUp)
}

// A producer makes the task and writes it in the transaction of the change, by
// tx.Enqueue. A worker claims it later and calls the handler of its kind.
func ExampleKind() {
	task := greet.Task("tsk_1", "org_1", "org_1", greetArgs{Users: []string{"user_1", "user_2"}})
	fmt.Println(task.Kind, task.Queue, string(task.Args))

	claim := usersync.Claim{TaskID: task.ID, Organization: task.Organization, Args: task.Args}
	handler := greetHandler()
	if err := handler.Work(context.Background(), claim); err != nil {
		fmt.Println(err)
	}
	// Output:
	// user.greet bulk {"users":["user_1","user_2"]}
	// tsk_1 greets [user_1 user_2]
}

// A batch that cannot be worked as a whole becomes a task for each of its items.
func ExampleHandler_parts() {
	task := greet.Task("tsk_1", "org_1", "org_1", greetArgs{Users: []string{"user_1", "user_2"}})
	parts, err := greetHandler().Parts(task.Args)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(string(parts["user_1"]))
	fmt.Println(string(parts["user_2"]))
	// Output:
	// {"users":["user_1"]}
	// {"users":["user_2"]}
}
