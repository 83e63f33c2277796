package manage

import (
	"net/http"
	"time"

	"usersync/internal/api"
	"usersync/internal/audit"
	"usersync/internal/outbox"
	"usersync/internal/usersync"
)

// queues is how much waits: on the queue, and in the database behind it.
type queues struct {
	Queues []depth    `json:"queues"`
	Outbox outboxBody `json:"outbox"`
}

type depth struct {
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
	Parked           int64         `json:"parked"` // waiting for credits
	OldestReady      usersync.Time `json:"oldestReady,omitzero"`
	OldestUnfinished usersync.Time `json:"oldestUnfinished,omitzero"` // parked ones apart
}

func (o Options) showQueues(c *api.Call) error {
	depths, err := o.Depths()
	if err != nil {
		return err
	}
	state, err := outbox.Count(c.Context(), o.Admin.Store)
	if err != nil {
		return err
	}
	answer := queues{Queues: []depth{}, Outbox: outboxBody{
		Ready: state.Ready, Sent: state.Sent, Scheduled: state.Scheduled, Parked: state.Parked,
		OldestReady: usersync.Time{Time: state.OldestReady}, OldestUnfinished: usersync.Time{Time: state.OldestUnfinished},
	}}
	for _, d := range depths {
		answer.Queues = append(answer.Queues, depth{Name: d.Queue, Pending: d.Pending, Active: d.Active, Scheduled: d.Scheduled,
			Retry: d.Retry, Failed: d.Failed, LatencyMS: d.Latency.Milliseconds(), Paused: d.Paused})
	}
	return c.JSON(http.StatusOK, answer)
}

// steered is a queue after pause or resume.
type steered struct {
	Name   string `json:"name"`
	Paused bool   `json:"paused"`
}

func (o Options) pauseQueue(c *api.Call) error { return o.steer(c, o.Pause, true) }

func (o Options) resumeQueue(c *api.Call) error { return o.steer(c, o.Resume, false) }

func (o Options) steer(c *api.Call, call func(string) error, paused bool) error {
	if err := c.Decode(new(nothing)); err != nil {
		return err
	}
	name := c.Param("name")
	if err := call(name); err != nil {
		return err
	}
	action := "queue.resume"
	if paused {
		action = "queue.pause"
	}
	if err := audit.Note(c.Context(), o.Admin.Store, c.Actor, action, name); err != nil {
		return err
	}
	return c.JSON(http.StatusOK, steered{name, paused})
}

// listStuck's pages go on from the oldest: a cursor asks for newer tasks.
func (o Options) listStuck(c *api.Call) error {
	age, err := olderThan(c)
	if err != nil {
		return err
	}
	load := func(after string, limit int) ([]outbox.StuckTask, error) {
		return outbox.Stuck(c.Context(), o.Admin.Store, age, after, limit)
	}
	return page(c, usersync.PrefixTask, load, func(t outbox.StuckTask) string { return t.ID })
}

// olderThan reads the query parameter of that name: how long a task must have
// been due to count as stuck. The default is when the reconciler takes an
// interest in it.
func olderThan(c *api.Call) (time.Duration, error) {
	query, err := c.Query()
	if err != nil {
		return 0, err
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

// rebuild sends everything again that no worker holds: what the queue still
// has is recognised by its id.
func (o Options) rebuild(c *api.Call) error {
	if err := c.Decode(new(nothing)); err != nil {
		return err
	}
	tasks, err := outbox.Rebuild(c.Context(), o.Admin.Store, c.Actor)
	if err != nil {
		return err
	}
	o.Wake()
	return c.JSON(http.StatusOK, map[string]int64{"tasks": tasks})
}

// listAudit lists the changes of all organizations, or of the one that the
// query names.
func (o Options) listAudit(c *api.Call) error {
	query, err := c.Query()
	if err != nil {
		return err
	}
	organization := query.Get("organizationId")
	if organization != "" && !usersync.HasPrefix(organization, usersync.PrefixOrganization) {
		return api.Invalid("organizationId", "must be the id of an organization")
	}
	load := func(before string, limit int) ([]audit.Entry, error) {
		return audit.List(c.Context(), o.Admin.Store, organization, before, limit)
	}
	return page(c, usersync.PrefixAudit, load, func(e audit.Entry) string { return e.ID })
}
