//go:build unix

package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	"usersync/test/services"

	_ "usersync/internal/store" // whose driver for PostgreSQL registers itself as "pgx"
)

// database is a PostgreSQL database and its address.
type database struct {
	*sql.DB
	url  string
	name string
}

func openDatabase(url string) (*database, error) {
	db, err := sql.Open("pgx", url)
	if err != nil {
		return nil, errors.New("TEST_DATABASE_URL is not a PostgreSQL URL") // the parser's error may quote a password
	}
	return &database{DB: db, url: url}, nil
}

// create makes a new database on the server of d; drop removes it.
func (d *database) create(ctx context.Context, purpose string) (*database, error) {
	name := fmt.Sprintf("load_%d_%s", os.Getpid(), strings.ReplaceAll(purpose, "-", "_"))
	if _, err := d.ExecContext(ctx, "CREATE DATABASE "+name); err != nil {
		return nil, fmt.Errorf("create the database %s: %w", name, err)
	}
	address, err := withPath(d.url, name)
	if err != nil {
		return nil, err
	}
	made, err := openDatabase(address)
	if err != nil {
		return nil, err
	}
	made.name = name
	return made, nil
}

// drop removes a database that create made, also when the run was interrupted.
func (d *database) drop(made *database) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	err := made.Close()
	_, dropped := d.ExecContext(ctx, "DROP DATABASE "+made.name+" WITH (FORCE)")
	return errors.Join(err, dropped)
}

// postmaster returns the process id of the server: the parent of ours there.
func (d *database) postmaster(ctx context.Context) (int, error) {
	conn, err := d.Conn(ctx)
	if err != nil {
		return 0, fmt.Errorf("connect to the database: %w", err)
	}
	defer func() { _ = conn.Close() }()
	var backend int
	if err := conn.QueryRowContext(ctx, "SELECT pg_backend_pid()").Scan(&backend); err != nil {
		return 0, fmt.Errorf("ask for the server's process: %w", err)
	}
	return services.ParentOf(backend)
}

// withPath returns a URL with another path: the database's name or number.
func withPath(address, path string) (string, error) {
	u, err := url.Parse(address)
	if err != nil {
		return "", errors.New("the address of a server is not a URL")
	}
	u.Path = "/" + path
	return u.String(), nil
}
