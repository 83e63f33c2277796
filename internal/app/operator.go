package app

import (
	"context"
	"fmt"
	"io"

	"usersync/internal/config"
	"usersync/internal/management"
	"usersync/internal/outbound"
	"usersync/internal/seal"
	"usersync/internal/store"
)

// Migrate migrates the database that the environment names to this release's schema.
func Migrate(ctx context.Context, environ []string) (applied int, err error) {
	s, _, err := openForOperator(ctx, environ, store.Options{})
	if err != nil {
		return 0, err
	}
	defer func() { _ = s.Close() }()
	return s.Migrate(ctx)
}

// OpenAdmin opens the database that the environment names, for an operator's calls.
func OpenAdmin(ctx context.Context, environ []string) (*management.Service, func(), error) {
	s, cfg, err := openForOperator(ctx, environ, store.Options{})
	if err != nil {
		return nil, nil, err
	}
	if err := s.CheckMigrated(ctx); err != nil {
		_ = s.Close()
		return nil, nil, err
	}
	return &management.Service{Store: s, Guard: &outbound.Guard{Allow: cfg.EgressAllow}}, func() { _ = s.Close() }, nil
}

// openForOperator opens the database that the environment names, with what else o says.
func openForOperator(ctx context.Context, environ []string, o store.Options) (*store.Store, *config.Config, error) {
	cfg, err := config.Load(environ)
	if err != nil {
		return nil, nil, err
	}
	if cfg.Embedded() {
		if err := cfg.EnsureSecrets(); err != nil {
			return nil, nil, err
		}
	}
	keys, err := seal.ParseKeys(cfg.SealingKeys)
	if err != nil {
		return nil, nil, fmt.Errorf("SEALING_KEYS: %w", err)
	}
	o.URL, o.Dir, o.MaxConns, o.Seal = cfg.DatabaseURL, cfg.DataDir, 2, keys
	s, err := store.Open(ctx, o)
	if err != nil {
		if s != nil {
			_ = s.Close()
		}
		return nil, nil, err
	}
	return s, cfg, nil
}

// PrintConfig prints the settings in force, secrets masked.
func PrintConfig(w io.Writer, environ []string) error {
	cfg, err := config.Load(environ)
	if err != nil {
		return err
	}
	cfg.Version = Version
	if err := cfg.ReadSecrets(); err != nil {
		return err
	}
	return cfg.Print(w)
}

// WriteKeys prints new secrets for a deployment.
func WriteKeys(w io.Writer) error { return config.WriteKeys(w) }
