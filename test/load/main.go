//go:build unix

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// options are what the command line says.
type options struct {
	measure  time.Duration // one measurement
	markdown string        // file to write; "" for none
	role     string        // of a process that this program started; "" for the run itself
	address  string        // what the role serves on, or uses
}

// Roles in which this program starts itself.
const (
	roleEcho     = "echo"
	roleAsynq    = "asynq"
	roleReceiver = "receiver"
)

// runWithin bounds a whole run: some ten times of what it should take.
const runWithin = 30 * time.Minute

func main() {
	o, err := parse(os.Args[1:])
	if err != nil {
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	ctx, cancel := context.WithTimeout(ctx, runWithin)
	err = perform(ctx, o)
	cancel()
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "load: %v\n", err)
		os.Exit(1)
	}
}

func parse(args []string) (options, error) {
	flags := flag.NewFlagSet("load", flag.ContinueOnError)
	seconds := flags.Int("seconds", 8, "length of one measurement, 1 to 60")
	short := flags.Bool("short", false, "about a minute in all: -seconds 2")
	markdown := flags.String("markdown", "", "also write the tables to this file")
	role := flags.String("role", "", "for the processes of a run: echo, asynq or receiver")
	address := flags.String("address", "", "where the role serves, or the Redis URL it uses")
	if err := flags.Parse(args); err != nil {
		return options{}, err
	}
	if *short {
		*seconds = 2
	}
	if *seconds < 1 || *seconds > 60 || flags.NArg() > 0 {
		flags.Usage()
		return options{}, errors.New("wrong usage")
	}
	return options{time.Duration(*seconds) * time.Second, *markdown, *role, *address}, nil
}

func perform(ctx context.Context, o options) error {
	switch o.role {
	case "":
		return measure(ctx, o)
	case roleEcho:
		return serveEcho(ctx, o.address)
	case roleAsynq:
		return runAsynq(ctx, o.address, o.measure)
	case roleReceiver:
		return serveReceiver(ctx, o.address)
	}
	return fmt.Errorf("unknown role %q", o.role)
}

// bench is one run.
type bench struct {
	options
	self   string // this program
	dir    string // temporary; binaries, logs, embedded data
	admin  *database
	redis  string
	report *report
}

// measure takes all measurements and prints them.
func measure(ctx context.Context, o options) (err error) {
	b, err := newBench(ctx, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	for _, part := range []func(context.Context) error{b.build, b.echo, b.asynq, b.postgres, b.accepting, b.endToEnd} {
		if err := part(ctx); err != nil {
			return err
		}
	}
	b.report.compare()
	fmt.Print(b.report.text())
	if o.markdown == "" {
		return nil
	}
	return os.WriteFile(o.markdown, []byte(b.report.markdown()), 0o644) //nolint:gosec // a page for everyone to read
}

func newBench(ctx context.Context, o options) (*bench, error) {
	databaseURL, redisURL := os.Getenv("TEST_DATABASE_URL"), os.Getenv("TEST_REDIS_URL")
	if databaseURL == "" || redisURL == "" {
		return nil, errors.New("TEST_DATABASE_URL and TEST_REDIS_URL are not set: run `make bench`, which starts the servers")
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	admin, err := openDatabase(databaseURL)
	if err != nil {
		return nil, err
	}
	facts, err := describe(ctx, admin, redisURL)
	if err != nil {
		return nil, errors.Join(err, admin.Close())
	}
	dir, err := os.MkdirTemp("", "usersync-load-")
	if err != nil {
		return nil, errors.Join(err, admin.Close())
	}
	return &bench{options: o, self: self, dir: dir, admin: admin, redis: redisURL, report: &report{facts: facts}}, nil
}

func (b *bench) close() error { return errors.Join(b.admin.Close(), os.RemoveAll(b.dir)) }

// build builds the commands under test as `make build` does.
func (b *bench) build(ctx context.Context) error {
	progress("building the commands")
	module, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	if err != nil {
		return fmt.Errorf("find the module: %w", err)
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", b.dir+"/", "./cmd/usersync", "./cmd/api", "./cmd/worker")
	cmd.Dir = filepath.Dir(strings.TrimSpace(string(module)))
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build the commands: %w\n%s", err, out)
	}
	return nil
}

func progress(format string, args ...any) { fmt.Fprintf(os.Stderr, "load: "+format+"\n", args...) }
