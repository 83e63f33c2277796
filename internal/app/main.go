package app

import (
	"context"
	"errors"
	"fmt"
	stdlog "log"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"usersync/internal/config"
	"usersync/internal/telemetry"
	"usersync/internal/usersync"
)

// Version is the version of the program, set by the build.
var Version string

// Main runs a role with the configuration of the environment. SIGINT or SIGTERM shut
// it down softly, and a second signal ends it at once. Main returns the exit status.
func Main(role Role) int {
	if err := Serve(context.Background(), role); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, Describe(err))
		return 1
	}
	return 0
}

// Serve is Main without the exit status.
func Serve(ctx context.Context, role Role) error {
	cfg, err := config.Load(os.Environ())
	if err != nil {
		return err
	}
	cfg.Version = Version
	if cfg.Embedded() && role != All {
		return errors.New("this process is one of a deployment: set DATABASE_URL and REDIS_URL, or run `usersync serve`, which needs neither")
	}
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	go func() {
		<-ctx.Done()
		stop() // from now on a signal ends the process at once
	}()
	tuneMemory()
	output := telemetry.NewOutput(os.Stderr)
	defer func() { _ = output.Close() }() // also when it panics; nobody is left to be told of an error
	log := telemetry.NewLogger(output, cfg.LogLevel)
	if IsTerminal(os.Stderr) {
		log = telemetry.NewTextLogger(os.Stderr, cfg.LogLevel)
	}
	// The transports of net/http tell what they wonder at to the standard logger.
	standard := telemetry.Foreign(log, slog.LevelInfo, "standard logger")
	stdlog.SetFlags(0)
	stdlog.SetOutput(standard.Writer())
	a, err := New(ctx, cfg, Options{Role: role, Log: log, Stdout: os.Stdout, Demo: cfg.Embedded()})
	if err != nil {
		return err
	}
	log.InfoContext(ctx, "started", "role", string(role), "version", a.version(), "embedded", cfg.Embedded(), "addr", a.where())
	err = a.Run(ctx)
	log.Info("stopped", "role", string(role))
	return err
}

// IsTerminal reports whether a person reads what is written to a file.
func IsTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// where returns the base URL at which the process answers.
func (a *App) where() string {
	if a.api != nil {
		return a.Addr()
	}
	return a.OpsAddr()
}

// Describe returns the text of an error for the person at the terminal. It omits the
// code of the service's own errors if they have no cause.
func Describe(err error) string {
	if e, ok := errors.AsType[*usersync.Error](err); ok && e.Err == nil {
		return "usersync: " + e.Message
	}
	return "usersync: " + err.Error()
}
