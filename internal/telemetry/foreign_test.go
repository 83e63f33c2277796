package telemetry_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"

	"usersync/internal/telemetry"
)

func TestWhatALibraryLogsIsOneBoundedLineOfJSON(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log := telemetry.Foreign(telemetry.NewLogger(&out, slog.LevelInfo), slog.LevelWarn, "net/http")
	said := "HTTP/1.1 200 OK\r\n{\"level\":\"ERROR\"}\n\xff" + strings.Repeat("x", 1<<16)
	log.Printf("unsolicited response %s", said)
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	var line map[string]string
	if err := json.Unmarshal([]byte(lines[0]), &line); err != nil || len(lines) != 1 {
		t.Fatalf("%d lines, %v: %.300s", len(lines), err, out.String())
	}
	if line["level"] != "WARN" || line["from"] != "net/http" || !strings.HasPrefix(line["msg"], "unsolicited response HTTP/1.1 200 OK\r\n{") || len(line["msg"]) > 1100 {
		t.Errorf("%d bytes: %.200v", len(line["msg"]), line)
	}
}
