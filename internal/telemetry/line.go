package telemetry

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// Line is the one wide log line of a request, task or delivery. It collects facts
// while the work runs and is written once at the end.
type Line struct {
	start time.Time

	mu      sync.Mutex
	attrs   []slog.Attr
	emitted bool
}

type lineKey struct{}

// usualAttrs is how many attributes the line of a call has, with room for two more.
const usualAttrs = 14

// Start begins a line. Calls of Add with the returned context add to it. It
// carries the attributes that With put into ctx.
func Start(ctx context.Context) (context.Context, *Line) {
	line := &Line{start: time.Now(), attrs: append(make([]slog.Attr, 0, usualAttrs), attrsOf(ctx)...)}
	return context.WithValue(ctx, lineKey{}, line), line
}

// Add puts attrs on the line of ctx. An attribute replaces an earlier one of the same
// key. If ctx has no line, Add does nothing. It may be called concurrently.
func Add(ctx context.Context, attrs ...slog.Attr) {
	line, ok := ctx.Value(lineKey{}).(*Line)
	if !ok {
		return
	}
	line.mu.Lock()
	defer line.mu.Unlock()
	if line.emitted {
		return // what was collected is being written
	}
	line.attrs = merge(line.attrs, attrs)
}

// Emit writes the line with its duration_ms, the milliseconds since Start. Only
// the first call writes.
func (l *Line) Emit(logger *slog.Logger, level slog.Level, msg string) {
	attrs, ok := l.take()
	if !ok {
		return
	}
	ctx := context.Background()
	h := logger.Handler()
	if !h.Enabled(ctx, level) {
		return
	}
	// The logger would look up its caller, which no line shows.
	r := slog.NewRecord(time.Now(), level, msg, 0)
	r.AddAttrs(attrs...)
	_ = h.Handle(ctx, r) // as slog.Logger does
}

func (l *Line) take() ([]slog.Attr, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.emitted {
		return nil, false
	}
	l.emitted = true
	elapsed := float64(time.Since(l.start).Microseconds()) / 1000
	return put(l.attrs, slog.Float64("duration_ms", elapsed)), true
}
