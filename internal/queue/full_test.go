//go:build unix

package queue

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"usersync/internal/usersync"
	"usersync/test/services"
)

// smallRedis starts a real Redis with a memory limit of some megabytes.
func smallRedis(t *testing.T) usersync.Secret {
	t.Helper()
	r, err := services.StartRedis(t.Context(), services.RedisOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Stop(); err != nil {
			t.Error(err)
		}
	})
	return usersync.NewSecret(r.URL())
}

// fill puts texts into Redis until it has reached its memory limit, and keeps it there.
func fill(t *testing.T, c *Client) {
	t.Helper()
	ctx := t.Context()
	if err := c.redis.ConfigSet(ctx, "maxmemory", "4mb").Err(); err != nil {
		t.Fatal(err)
	}
	var err error
	for i := 0; err == nil; i++ {
		err = c.redis.Set(ctx, fmt.Sprint("filler", i), strings.Repeat("x", 64<<10), 0).Err()
	}
	if !isFull(err) {
		t.Fatal(err)
	}
	// What clients free of their buffers is to make no room.
	if err := c.redis.ConfigSet(ctx, "maxmemory", "3mb").Err(); err != nil {
		t.Fatal(err)
	}
}

// empty makes room.
func empty(t *testing.T, c *Client) {
	t.Helper()
	if err := c.redis.ConfigSet(t.Context(), "maxmemory", "100mb").Err(); err != nil {
		t.Fatal(err)
	}
}

// lines keeps what is logged.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func TestAFullRedisIsUnavailableAndLosesNothing(t *testing.T) {
	t.Parallel()
	url, log := smallRedis(t), &lines{}
	sender := process(t, url, "t")
	worker, err := Connect(Options{URL: url, Namespace: "t", Log: slog.New(slog.NewTextHandler(log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = worker.Close() })
	worked := make(chan string, 10)
	server, err := worker.Serve(ServerOptions{Queue: Run, Slots: 2, Grace: time.Second, Work: func(_ context.Context, m Message) error {
		worked <- m.TaskID
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Shutdown)
	if err := worker.Accepts(t.Context()); err != nil {
		t.Fatal(err)
	}

	// A message that nobody has taken when it becomes full.
	if err := sender.Pause(Run); err != nil {
		t.Fatal(err)
	}
	kept := message()
	if _, err := sender.Send(t.Context(), []Message{kept}); err != nil {
		t.Fatal(err)
	}
	fill(t, sender)
	if err := sender.Resume(Run); err != nil {
		t.Fatal(err)
	}
	late := message()
	unsent, err := sender.Send(t.Context(), []Message{late})
	wantFull(t, "send", err)
	if len(unsent) != 1 {
		t.Errorf("%v were not sent", unsent)
	}
	wantFull(t, "accept", worker.Accepts(t.Context()))
	_, err = sender.Consumption().Exchange(t.Context(), map[string]int64{"k": 1})
	wantFull(t, "count", err)
	_, err = sender.Limiter().Acquire(t.Context(), KeyOf("org_1", "a"), Limit{PerSecond: 1}, time.Minute, time.Minute)
	wantFull(t, "count a call", err)
	wantFull(t, "pause", sender.Limiter().Pause(t.Context(), KeyOf("org_1", "a"), time.Minute))
	if !isPending(t, sender, kept) {
		t.Error("the message that was sent does not wait any more")
	}

	for range 3 { // whoever asks: it is told once
		wantFull(t, "accept", worker.Accepts(t.Context()))
		worker.look(t.Context())
	}
	empty(t, sender)
	if _, err := sender.Send(t.Context(), []Message{late}); err != nil {
		t.Fatal(err)
	}
	got := map[string]bool{}
	for range 2 {
		select {
		case id := <-worked:
			got[id] = true
		case <-time.After(20 * time.Second):
			t.Fatal("a message was not worked, after there was room")
		}
	}
	if !got[kept.TaskID] || !got[late.TaskID] {
		t.Errorf("worked %v", got)
	}
	if err := worker.Accepts(t.Context()); err != nil {
		t.Error(err)
	}
	text := log.String()
	if strings.Count(text, "reached its memory limit; accepted work waits") != 1 || strings.Count(text, "has room again") != 1 || strings.Contains(text, "Dequeue") {
		t.Errorf("logged:\n%s", text)
	}
}

func wantFull(t *testing.T, what string, err error) {
	t.Helper()
	if usersync.CodeOf(err) != usersync.CodeUnavailable || !errors.Is(err, ErrFull) {
		t.Errorf("%s: %v, want unavailable because Redis is full", what, err)
	}
}

func TestARedisThatEvictsIsTold(t *testing.T) {
	t.Parallel()
	c := process(t, smallRedis(t), "t")
	if err := c.KeepsAll(t.Context()); err != nil {
		t.Errorf("of the policy noeviction, which is the default: %v", err)
	}
	if err := c.redis.ConfigSet(t.Context(), "maxmemory-policy", "allkeys-random").Err(); err != nil {
		t.Fatal(err)
	}
	if err := c.KeepsAll(t.Context()); err == nil || !strings.Contains(err.Error(), `"allkeys-random", set it to noeviction`) {
		t.Errorf("of the policy allkeys-random: %v", err)
	}
}
