package manage

import (
	"fmt"
	"net/http"
	"time"

	"usersync/internal/api"
	"usersync/internal/outbox"
	"usersync/internal/queue"
	"usersync/internal/usersync"
)

// queuesBody is how much waits: on the queue, and in the database behind it.
type queuesBody struct {
	Queues []depthBody `json:"queues"`
	Outbox outboxBody  `json:"outbox"`
}

type depthBody struct {
	Name      string `json:"name"`
	Pending   int64  `json:"pending"`
	Active    int64  `json:"active"`
	Scheduled int64  `json:"scheduled"`
	Retry     int64  `json:"retry"`
	Failed    int64  `json:"failed"`
	LatencyMS int64  `json:"latencyMs"` // of the oldest pending message
	Paused    bool   `json:"paused"`
}

type outboxBody struct {
	Ready            int64         `json:"ready"`
	Sent             int64         `json:"sent"`
	Scheduled        int64         `json:"scheduled"`
	Parked           int64         `json:"parked"`   // waiting for credits
	Held             int64         `json:"held"`     // of organizations that are disabled
	Poisoned         int64         `json:"poisoned"` // waiting for an operator
	OldestReady      usersync.Time `json:"oldestReady,omitzero"`
	OldestUnfinished usersync.Time `json:"oldestUnfinished,omitzero"` // without those three
}

func newQueuesBody(depths []queue.Depth, state outbox.State) queuesBody {
	body := queuesBody{Queues: []depthBody{}, Outbox: outboxBody{
		Ready: state.Ready, Sent: state.Sent, Scheduled: state.Scheduled, Parked: state.Parked, Held: state.Held, Poisoned: state.Poisoned,
		OldestReady: usersync.Time{Time: state.OldestReady}, OldestUnfinished: usersync.Time{Time: state.OldestUnfinished},
	}}
	for _, d := range depths {
		body.Queues = append(body.Queues, depthBody{Name: d.Queue, Pending: d.Pending, Active: d.Active, Scheduled: d.Scheduled,
			Retry: d.Retry, Failed: d.Failed, LatencyMS: d.Latency.Milliseconds(), Paused: d.Paused})
	}
	return body
}

func (h *Handlers) getQueues(c *api.Call) error {
	depths, state, err := h.Management.GetQueues(c.Context())
	return c.Answer(http.StatusOK, newQueuesBody(depths, state), err)
}

// pausedBody is a queue after pause or resume.
type pausedBody struct {
	Name   string `json:"name"`
	Paused bool   `json:"paused"`
}

func (h *Handlers) pauseQueue(c *api.Call) error {
	name := c.Param("name")
	err := h.Management.PauseQueue(c.Context(), c.Actor, name)
	return c.Answer(http.StatusOK, pausedBody{name, true}, err)
}

func (h *Handlers) resumeQueue(c *api.Call) error {
	name := c.Param("name")
	err := h.Management.ResumeQueue(c.Context(), c.Actor, name)
	return c.Answer(http.StatusOK, pausedBody{name, false}, err)
}

// listStuckTasks lists from the oldest: a cursor asks for newer tasks.
func (h *Handlers) listStuckTasks(c *api.Call) error {
	age, err := olderThan(c)
	if err != nil {
		return err
	}
	load := func(after string, limit int) ([]outbox.StuckTask, error) {
		return h.Management.ListStuckTasks(c.Context(), age, after, limit)
	}
	return page(c, usersync.PrefixTask, load, func(t outbox.StuckTask) string { return t.ID })
}

func (h *Handlers) retryTask(c *api.Call) error {
	return removed(c, h.Management.RetryTask(c.Context(), c.Actor, c.Param("id")))
}

// olderThan reads the query parameter of that name: how long a task must have
// been due to count as stuck. The default is when the reconciler looks at it.
func olderThan(c *api.Call) (time.Duration, error) {
	query, err := c.Query()
	if err != nil {
		return 0, fmt.Errorf("read the query: %w", err)
	}
	text := query.Get("olderThan")
	if text == "" {
		return outbox.LostAfter, nil
	}
	age, err := time.ParseDuration(text)
	if err != nil || age < 0 {
		return 0, api.Invalid("olderThan", "must be a duration like 2m or 24h")
	}
	return age, nil
}

func (h *Handlers) rebuildQueue(c *api.Call) error {
	tasks, err := h.Management.RebuildQueue(c.Context(), c.Actor)
	return c.Answer(http.StatusOK, map[string]int64{"tasks": tasks}, err)
}
