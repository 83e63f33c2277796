package telemetry_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"usersync/internal/telemetry"
	"usersync/internal/usersync"
)

// decoded returns the lines of out, without the time.
func decoded(t *testing.T, out *bytes.Buffer) []map[string]any {
	t.Helper()
	var lines []map[string]any
	for text := range strings.Lines(out.String()) {
		var line map[string]any
		if err := json.Unmarshal([]byte(text), &line); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		delete(line, "time")
		lines = append(lines, line)
	}
	return lines
}

func wantLines(t *testing.T, out *bytes.Buffer, want ...map[string]any) {
	t.Helper()
	if got := decoded(t, out); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

func TestLoggerWritesTimesInUTC(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		east := time.FixedZone("east", 3600)
		telemetry.NewLogger(&out, slog.LevelInfo).Info("hello", "at", time.Date(2026, 1, 2, 3, 4, 5, 0, east))
		for _, want := range []string{`"time":"2000-01-01T00:00:00Z"`, `"at":"2026-01-02T02:04:05Z"`} {
			if !strings.Contains(out.String(), want) {
				t.Errorf("%s is not in %s", want, out.String())
			}
		}
	})
}

func TestLoggerWritesFromItsLevelUp(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	logger := telemetry.NewLogger(&out, slog.LevelWarn)
	logger.Info("quiet")
	logger.Warn("loud")
	wantLines(t, &out, map[string]any{"level": "WARN", "msg": "loud"})
}

func TestLoggerAddsTheAttributesOfTheContext(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	logger := telemetry.NewLogger(&out, slog.LevelInfo).With("process", "api")
	base := telemetry.With(t.Context(), slog.String("a", "1"), slog.String("b", "2"))
	left, right := telemetry.With(base, slog.String("b", "left")), telemetry.With(base, slog.String("c", "right"))
	for _, ctx := range []context.Context{base, left, right} {
		logger.InfoContext(ctx, "m", "own", true)
	}
	wantLines(t, &out,
		map[string]any{"level": "INFO", "msg": "m", "process": "api", "own": true, "a": "1", "b": "2"},
		map[string]any{"level": "INFO", "msg": "m", "process": "api", "own": true, "a": "1", "b": "left"},
		map[string]any{"level": "INFO", "msg": "m", "process": "api", "own": true, "a": "1", "b": "2", "c": "right"})
}

func TestLoggerShowsNoSecretAndNoAddress(t *testing.T) {
	t.Parallel()
	email := usersync.NewEmail("Ann.Example@example.com", "ann.example@example.com")
	secret := usersync.NewSecret("hunter2-hunter2")
	nested := struct {
		Email  usersync.Email
		Secret usersync.Secret
		inner  struct {
			email  usersync.Email
			secret usersync.Secret
		}
	}{Email: email, Secret: secret}
	nested.inner.email, nested.inner.secret = email, secret
	for name, value := range map[string]any{
		"plain email": email, "plain secret": secret, "struct": nested, "pointer": &nested,
		"slice": []usersync.Email{email}, "map": map[string]usersync.Secret{"k": secret},
	} {
		var out bytes.Buffer
		logger := telemetry.NewLogger(&out, slog.LevelInfo).With("v", value)
		logger.Info("m", "w", value, slog.Group("g", "x", value))
		if text := strings.ToLower(out.String()); strings.Contains(text, "ann.example") || strings.Contains(text, "hunter2") {
			t.Errorf("%s: leaked in %s", name, text)
		}
	}
}

func TestLoggerKeepsErrorsAndListsReadable(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	telemetry.NewLogger(&out, slog.LevelInfo).Info("m", "error", errors.New("broken"), "fields", []string{"a", "b"}, "none", nil)
	wantLines(t, &out, map[string]any{"level": "INFO", "msg": "m", "error": "broken", "fields": []any{"a", "b"}, "none": nil})
}

func TestLineCarriesAllFactsOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		logger := telemetry.NewLogger(&out, slog.LevelInfo)
		ctx, line := telemetry.Start(telemetry.With(t.Context(), slog.String("request_id", "req_1")))
		telemetry.Add(ctx, slog.Int("status", 500), slog.String("route", "/v1/user-sync"))
		telemetry.Add(telemetry.With(ctx, slog.String("later", "not on the line")), slog.Int("status", 202))
		time.Sleep(1500 * time.Microsecond)
		line.Emit(logger, slog.LevelInfo, "request")
		telemetry.Add(ctx, slog.String("too", "late"))
		line.Emit(logger, slog.LevelInfo, "request")
		wantLines(t, &out, map[string]any{"level": "INFO", "msg": "request", "request_id": "req_1",
			"status": 202.0, "route": "/v1/user-sync", "duration_ms": 1.5})
	})
}

func TestAddIsSafeForConcurrentUse(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	ctx, line := telemetry.Start(t.Context())
	keys := []string{"a", "b", "c", "d", "e", "f", "g", "h"}
	var group sync.WaitGroup
	for _, key := range keys {
		group.Go(func() { telemetry.Add(ctx, slog.Bool(key, true)) })
	}
	group.Wait()
	line.Emit(telemetry.NewLogger(&out, slog.LevelInfo), slog.LevelInfo, "m")
	got := decoded(t, &out)[0]
	for _, key := range keys {
		if got[key] != true {
			t.Errorf("%s is missing in %v", key, got)
		}
	}
}

func TestAddWithoutALineDoesNothing(t *testing.T) {
	t.Parallel()
	telemetry.Add(t.Context(), slog.Bool("lost", true)) // must not panic
}

func TestLineInsideALineStandsAlone(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	logger := telemetry.NewLogger(&out, slog.LevelInfo)
	outer, outerLine := telemetry.Start(t.Context())
	inner, innerLine := telemetry.Start(outer)
	telemetry.Add(inner, slog.Bool("inner", true))
	telemetry.Add(outer, slog.Bool("outer", true))
	innerLine.Emit(logger, slog.LevelInfo, "inner")
	outerLine.Emit(logger, slog.LevelInfo, "outer")
	lines := decoded(t, &out)
	if lines[0]["inner"] != true || lines[0]["outer"] != nil || lines[1]["outer"] != true || lines[1]["inner"] != nil {
		t.Errorf("got %v", lines)
	}
}

func TestTextForPeopleHidesWhatJSONHides(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	ctx := telemetry.With(t.Context(), slog.String("organization", "org_1"))
	telemetry.NewTextLogger(&out, slog.LevelInfo).InfoContext(ctx, "started", "key", usersync.NewSecret("hidden"), "n", 3)
	line := out.String()
	if !strings.Contains(line, `level=INFO msg=started`) || !strings.Contains(line, "organization=org_1") || !strings.Contains(line, "n=3") || strings.Contains(line, "hidden") {
		t.Error(line)
	}
}
