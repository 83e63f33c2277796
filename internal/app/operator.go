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

// Create makes an embedded database where there is none, and is otherwise Migrate.
func Create(ctx context.Context, environ []string) (applied int, err error) {
	cfg, err := config.Load(environ)
	if err != nil {
		return 0, err
	}
	if err := cfg.EnsureSecrets(); err != nil {
		return 0, err
	}
	s, err := openStore(ctx, cfg, store.Options{})
	if err != nil {
		return 0, err
	}
	defer func() { _ = s.Close() }()
	return s.Migrate(ctx)
}

// Admin is the database that the environment names, open for an operator's calls.
type Admin struct {
	*management.Service
	// Database says which one it is, its password masked.
	Database string
}

// Close closes the database.
func (a *Admin) Close() error { return a.Store.Close() }

// OpenAdmin opens the database that the environment names, for an operator's calls. It makes
// none.
func OpenAdmin(ctx context.Context, environ []string) (*Admin, error) {
	s, cfg, err := openForOperator(ctx, environ, store.Options{})
	if err != nil {
		return nil, err
	}
	if err := s.CheckMigrated(ctx); err != nil {
		_ = s.Close()
		return nil, err
	}
	return &Admin{&management.Service{Store: s, Guard: &outbound.Guard{Allow: cfg.EgressAllow}}, cfg.Database()}, nil
}

// openForOperator opens the database that the environment names, with what else o says. An
// operator who is in the wrong folder is told so: only the service makes a database there.
func openForOperator(ctx context.Context, environ []string, o store.Options) (*store.Store, *config.Config, error) {
	cfg, err := config.Load(environ)
	if err != nil {
		return nil, nil, err
	}
	if err := cfg.ReadSecrets(); err != nil {
		return nil, nil, err
	}
	o.Existing = true
	if cfg.SealingKeys.IsZero() {
		return nil, nil, store.NoDatabase(cfg.DataDir)
	}
	s, err := openStore(ctx, cfg, o)
	return s, cfg, err
}

func openStore(ctx context.Context, cfg *config.Config, o store.Options) (*store.Store, error) {
	keys, err := seal.ParseKeys(cfg.SealingKeys)
	if err != nil {
		return nil, fmt.Errorf("SEALING_KEYS: %w", err)
	}
	o.URL, o.Dir, o.MaxConns, o.Seal = cfg.DatabaseURL, cfg.DataDir, 2, keys
	s, err := store.Open(ctx, o)
	if err == nil {
		return s, nil
	}
	if s != nil {
		_ = s.Close()
	}
	return nil, err
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
