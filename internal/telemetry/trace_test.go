package telemetry_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"usersync/internal/telemetry"
)

const (
	traceID = "4bf92f3577b34da6a3ce929d0e0e4736"
	spanID  = "00f067aa0ba902b7"
	parent  = "00-" + traceID + "-" + spanID + "-01"
)

func TestParseTraceparentTakesWhatTheStandardAllows(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, header, want string }{
		{"sampled", parent, parent},
		{"not sampled", "00-" + traceID + "-" + spanID + "-00", "00-" + traceID + "-" + spanID + "-00"},
		{"unknown flags are dropped", "00-" + traceID + "-" + spanID + "-ff", parent},
		{"unknown flags alone do not sample", "00-" + traceID + "-" + spanID + "-fe", "00-" + traceID + "-" + spanID + "-00"},
		{"higher version", "01-" + traceID + "-" + spanID + "-01", parent},
		{"higher version with more fields", "cc-" + traceID + "-" + spanID + "-01-what.the-future-holds", parent},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, ok := telemetry.ParseTraceparent(tt.header)
			if !ok || got.String() != tt.want {
				t.Errorf("got %s, %v, want %s", got, ok, tt.want)
			}
		})
	}
}

func TestParseTraceparentRefusesWhatTheStandardForbids(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, header string }{
		{"empty", ""},
		{"too short", parent[:54]},
		{"version 00 with more", parent + "-extra"},
		{"version 00 with a trailing dash", parent + "-"},
		{"version ff", "ff" + parent[2:]},
		{"version not hex", "0g" + parent[2:]},
		{"higher version without a dash", "cc" + parent[2:] + ".later"},
		{"zero trace id", "00-" + strings.Repeat("0", 32) + "-" + spanID + "-01"},
		{"zero span id", "00-" + traceID + "-" + strings.Repeat("0", 16) + "-01"},
		{"upper case trace id", "00-" + strings.ToUpper(traceID) + "-" + spanID + "-01"},
		{"upper case span id", "00-" + traceID + "-" + strings.ToUpper(spanID) + "-01"},
		{"upper case flags", "00-" + traceID + "-" + spanID + "-0A"},
		{"trace id not hex", "00-" + strings.Repeat("x", 32) + "-" + spanID + "-01"},
		{"flags not hex", parent[:53] + "0."},
		{"dots for dashes", strings.ReplaceAll(parent, "-", ".")},
		{"space before", " " + parent[:54]},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got, ok := telemetry.ParseTraceparent(tt.header); ok {
				t.Errorf("took it as %s", got)
			}
		})
	}
}

func TestNewTracesAreValidAndDiffer(t *testing.T) {
	t.Parallel()
	first, second := telemetry.NewTrace(), telemetry.NewTrace()
	if got, ok := telemetry.ParseTraceparent(first.String()); !ok || got != first {
		t.Errorf("%s reads back as %s, %v", first, got, ok)
	}
	if first.TraceID == second.TraceID || first.SpanID == second.SpanID {
		t.Errorf("%s and %s share an id", first, second)
	}
}

func TestChildStaysInTheTrace(t *testing.T) {
	t.Parallel()
	for _, header := range []string{parent, parent[:54] + "0"} {
		root, _ := telemetry.ParseTraceparent(header)
		child := root.Child()
		if child.TraceID != root.TraceID || child.Sampled != root.Sampled || child.SpanID == root.SpanID || child.SpanID == [8]byte{} {
			t.Errorf("child of %s is %s", root, child)
		}
		if root.String() != header {
			t.Errorf("the parent became %s", root)
		}
	}
}

func TestNoTraceIsNoHeader(t *testing.T) {
	t.Parallel()
	if got := (telemetry.Trace{}).String(); got != "" {
		t.Errorf("got %q", got)
	}
}

func TestContextCarriesTheTraceIntoTheLog(t *testing.T) {
	t.Parallel()
	if _, ok := telemetry.TraceFrom(t.Context()); ok {
		t.Error("found a trace where none was put")
	}
	trace, _ := telemetry.ParseTraceparent(parent)
	ctx := telemetry.WithTrace(telemetry.WithTrace(t.Context(), telemetry.NewTrace()), trace)
	if got, ok := telemetry.TraceFrom(ctx); !ok || got != trace {
		t.Errorf("got %s, %v", got, ok)
	}
	var out bytes.Buffer
	telemetry.NewLogger(&out, slog.LevelInfo).InfoContext(ctx, "m")
	wantLines(t, &out, map[string]any{"level": "INFO", "msg": "m", "trace_id": traceID, "span_id": spanID})
}

func FuzzParseTraceparent(f *testing.F) {
	f.Add(parent)
	f.Add("cc-" + traceID + "-" + spanID + "-01-more")
	f.Fuzz(func(t *testing.T, header string) {
		trace, ok := telemetry.ParseTraceparent(header)
		if !ok {
			return
		}
		again, ok := telemetry.ParseTraceparent(trace.String())
		if !ok || again != trace {
			t.Errorf("%q reads as %s, which reads as %s, %v", header, trace, again, ok)
		}
		if trace.String()[2:52] != header[2:52] {
			t.Errorf("%q became %s", header, trace)
		}
	})
}
