package telemetry

import (
	"context"
	"log"
	"log/slog"
	"strings"
)

// maxForeign is how much is kept of what a library logs, in bytes. Some of it is what the
// other side of a connection has said.
const maxForeign = 1024

// Foreign returns a logger for a library that logs text. Each of its messages becomes one
// line of to, at one level, with the library's name: cut after 1 KiB, and as JSON quotes
// text, so that nobody writes lines of the log from outside.
func Foreign(to *slog.Logger, level slog.Level, library string) *log.Logger {
	return log.New(foreign{to, level, library}, "", 0)
}

type foreign struct {
	to      *slog.Logger
	level   slog.Level
	library string
}

// Write implements io.Writer. It is called once for each message.
func (f foreign) Write(message []byte) (int, error) {
	text := message[:min(len(message), maxForeign)]
	f.to.Log(context.Background(), f.level, strings.ToValidUTF8(strings.TrimSpace(string(text)), "\uFFFD"), "from", f.library)
	return len(message), nil
}
