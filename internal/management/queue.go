package management

import (
	"context"
	"fmt"
	"time"

	"usersync/internal/audit"
	"usersync/internal/outbox"
	"usersync/internal/queue"
)

// Queues is what operators see of the task queues and do to them.
// *queue.Client is one.
type Queues interface {
	// Depths returns how full the queues are.
	Depths() ([]queue.Depth, error)
	// Pause has the workers take nothing more from a queue.
	Pause(name string) error
	// Resume has the workers take tasks from a queue again.
	Resume(name string) error
}

// GetQueues returns how much waits in the queues, and in the outbox behind them.
func (s *Service) GetQueues(ctx context.Context) ([]queue.Depth, outbox.State, error) {
	depths, err := s.Queues.Depths()
	if err != nil {
		return nil, outbox.State{}, fmt.Errorf("read how full the queues are: %w", err)
	}
	state, err := outbox.Count(ctx, s.Store)
	if err != nil {
		return nil, state, fmt.Errorf("count the outbox: %w", err)
	}
	return depths, state, nil
}

// PauseQueue has the workers take nothing more from a queue.
func (s *Service) PauseQueue(ctx context.Context, actor, name string) error {
	if err := s.Queues.Pause(name); err != nil {
		return fmt.Errorf("pause the queue: %w", err)
	}
	return audit.Note(ctx, s.Store, actor, "queue.pause", name)
}

// ResumeQueue has the workers take tasks from a queue again.
func (s *Service) ResumeQueue(ctx context.Context, actor, name string) error {
	if err := s.Queues.Resume(name); err != nil {
		return fmt.Errorf("resume the queue: %w", err)
	}
	return audit.Note(ctx, s.Store, actor, "queue.resume", name)
}

// ListStuckTasks returns unfinished tasks that have been due for at least age,
// oldest first; after is the id that they follow.
func (s *Service) ListStuckTasks(ctx context.Context, age time.Duration, after string, limit int) ([]outbox.StuckTask, error) {
	return outbox.Stuck(ctx, s.Store, age, after, limit)
}

// RetryTask has a poisoned task worked again.
func (s *Service) RetryTask(ctx context.Context, actor, id string) error {
	return outbox.RetryPoisoned(ctx, s.Store, actor, id)
}

// RebuildQueue sends every task again that no worker holds, and returns how many
// those are. The queue recognises what it still has by its id.
func (s *Service) RebuildQueue(ctx context.Context, actor string) (int64, error) {
	tasks, err := outbox.Rebuild(ctx, s.Store, actor)
	if err != nil {
		return 0, fmt.Errorf("rebuild the queue: %w", err)
	}
	return tasks, nil
}
