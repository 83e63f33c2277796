package app

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"text/tabwriter"

	"usersync/internal/config"
	"usersync/internal/connectors"
	"usersync/internal/doctor"
	"usersync/internal/queue"
	"usersync/internal/seal"
	"usersync/internal/store"
	"usersync/internal/usersync"
)

// Doctor looks at all that the installation of the environment stands on. It changes
// nothing but a key in Redis that lives for a minute, by which it tries whether Redis takes
// what is written. It writes what it found to out, and for what is not right what to do next. Then
// the error says how many things have failed.
func Doctor(ctx context.Context, environ []string, out io.Writer) error {
	cfg, err := config.Load(environ)
	if err != nil {
		return err
	}
	if cfg.Embedded() {
		if err := cfg.ReadSecrets(); err != nil {
			return err
		}
	}
	p := doctor.Patient{Config: cfg, Platforms: connectors.Platforms}
	if p.Store, p.Keys, p.StoreError = openForDoctor(ctx, cfg); p.Store != nil {
		defer func() { _ = p.Store.Close() }()
	}
	if !cfg.Embedded() {
		if p.Queue, err = queue.Connect(queue.Options{URL: cfg.RedisURL, Log: slog.New(slog.DiscardHandler)}); err != nil {
			return err
		}
		defer func() { _ = p.Queue.Close() }()
	}
	return tell(out, doctor.Look(ctx, p))
}

// openForDoctor opens a database that is there, to read.
func openForDoctor(ctx context.Context, cfg *config.Config) (*store.Store, *seal.Keys, error) {
	o := store.Options{URL: cfg.DatabaseURL, Dir: cfg.DataDir, MaxConns: 2, ReadOnly: true}
	var keys *seal.Keys
	if !cfg.SealingKeys.IsZero() { // An installation that was never started has none.
		var err error
		if keys, err = seal.ParseKeys(cfg.SealingKeys); err != nil {
			return nil, nil, fmt.Errorf("SEALING_KEYS: %w", err)
		}
		o.Seal = keys
	}
	s, err := store.Open(ctx, o)
	if err != nil && s != nil {
		_ = s.Close()
		s = nil
	}
	return s, keys, err
}

func tell(out io.Writer, findings []doctor.Finding) error {
	var text strings.Builder
	table := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	bad := 0
	for _, f := range findings {
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\n", f.State, f.Thing, f.Says)
		if f.State == doctor.Failed {
			bad++
		}
	}
	_ = table.Flush()
	for _, f := range findings {
		if f.State != doctor.OK {
			fmt.Fprintf(&text, "\n%s: %s\n", f.Thing, f.Next)
		}
	}
	if _, err := io.WriteString(out, text.String()); err != nil {
		return err
	}
	if bad > 0 {
		return usersync.Errorf(usersync.CodeUnavailable, "%d of %d things have failed; what to do about each is said above.", bad, len(findings))
	}
	return nil
}
