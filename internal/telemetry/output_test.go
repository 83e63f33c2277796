package telemetry_test

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"usersync/internal/telemetry"
)

// counted counts the writes.
type counted struct {
	mu     sync.Mutex
	text   bytes.Buffer
	writes int
}

func (c *counted) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.writes++
	return c.text.Write(p)
}

func (c *counted) want(t *testing.T, lines, writes int) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if n := strings.Count(c.text.String(), "\n"); n != lines || c.writes != writes {
		t.Errorf("%d lines in %d writes, want %d in %d", n, c.writes, lines, writes)
	}
}

func TestOutputWritesTheLinesOfAQuarterOfASecondTogether(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var to counted
		log := telemetry.NewLogger(telemetry.NewOutput(&to), slog.LevelInfo)
		for round := range 3 {
			log.Info("a")
			time.Sleep(249 * time.Millisecond)
			log.Info("b")
			to.want(t, 2*round, round)
			time.Sleep(2 * time.Millisecond)
			synctest.Wait()
			to.want(t, 2*round+2, round+1)
		}
	})
}

func TestOutputWritesWarningsErrorsAndTheRestAtTheEndAtOnce(t *testing.T) {
	t.Parallel()
	var to counted
	out := telemetry.NewOutput(&to)
	log := telemetry.NewLogger(out, slog.LevelInfo).With("process", "api").WithGroup("g")
	log.Info("waits")
	to.want(t, 0, 0)
	log.Error("at once")
	to.want(t, 2, 1)
	log.Warn("at once")
	to.want(t, 3, 2)
	log.Info("waits")
	if err := out.Close(); err != nil {
		t.Error(err)
	}
	to.want(t, 4, 3)
	log.Info(strings.Repeat("long ", 10_000))
	to.want(t, 5, 4)
	if err := out.Close(); err != nil {
		t.Error(err)
	}
	to.want(t, 5, 4)
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("no space left") }

func TestOutputReportsWhatItCouldNotWrite(t *testing.T) {
	t.Parallel()
	out := telemetry.NewOutput(full{})
	if _, err := out.Write([]byte("line\n")); err != nil {
		t.Errorf("not written yet, but %v", err)
	}
	if err := out.Close(); err == nil {
		t.Error("the loss of a line is no error")
	}
}

func TestOutputKeepsLinesWholeWhenManyWrite(t *testing.T) {
	t.Parallel()
	var to counted
	out := telemetry.NewOutput(&to)
	log := telemetry.NewLogger(out, slog.LevelInfo)
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 200 {
				log.Info("m", "text", strings.Repeat("x", 100))
			}
		})
	}
	group.Wait()
	if err := out.Close(); err != nil {
		t.Error(err)
	}
	if n := len(decoded(t, &to.text)); n != 1600 {
		t.Errorf("%d lines, want 1600", n)
	}
}

// BenchmarkLine is what the one line of a call costs.
func BenchmarkLine(b *testing.B) {
	log := telemetry.NewLogger(telemetry.NewOutput(&bytes.Buffer{}), slog.LevelInfo)
	b.ReportAllocs()
	for b.Loop() {
		ctx, line := telemetry.Start(telemetry.WithTrace(b.Context(), telemetry.NewTrace()))
		telemetry.Add(ctx, slog.String("organization", "org_1"), slog.String("key", "key_1"))
		telemetry.Add(ctx, slog.String("request_id", "req_1"), slog.String("dialect", "native"), slog.String("method", "POST"),
			slog.String("route", "/v1/user-sync"), slog.Int("status", 202), slog.Int64("bytes", 200))
		line.Emit(log, slog.LevelInfo, "http")
	}
}
