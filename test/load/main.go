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
	"strconv"
	"strings"
	"syscall"
	"time"

	"usersync/test/system"
)

// options are what the command line says.
type options struct {
	args      []string
	measure   time.Duration // one measurement
	clients   []int         // how many there are at a time, in turn
	sizes     []int         // of the cost curve; none for another run
	backlog   int           // of the fairness run; 0 for another run
	page      string        // file with the places for tables; "" for none
	explained string        // file for the plans of the curve's last size; "" for none
	harmOnly  bool          // only what organizations do to each other
	harms     string        // of that only what has this in its name
	lookup    bool          // only look-ups
	steady    bool          // only the steady loads of a deployed installation
	role      string        // of a process that this program started; "" for the run itself
	address   string        // what the role serves on, or uses
}

// Roles in which this program starts itself.
const (
	roleEcho     = "echo"
	roleAsynq    = "asynq"
	roleReceiver = "receiver"

	roleBareAPI    = "bare-api"
	roleBareWorker = "bare-worker"
)

// A run that takes longer than this hangs.
const (
	runWithin   = 30 * time.Minute
	curveWithin = 3 * time.Hour
)

func main() {
	o, err := parse(os.Args[1:])
	if err != nil {
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	within := runWithin
	if len(o.sizes) > 0 || o.role != "" { // a role ends with the run that started it
		within = curveWithin
	}
	ctx, cancel := context.WithTimeout(ctx, within)
	err = perform(ctx, o)
	cancel()
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "load: %v\n", err)
		os.Exit(1)
	}
}

func parse(args []string) (options, error) {
	o := options{args: args}
	flags := flag.NewFlagSet("load", flag.ContinueOnError)
	seconds := flags.Int("seconds", 5, "length of one measurement, 1 to 60")
	short := flags.Bool("short", false, "a look in a minute or two: -seconds 2")
	quick := flags.Bool("quick", false, "whether it can be measured and nothing is lost, in a minute: -seconds 1, and one number of clients")
	curve := flags.String("curve", "", "measure the cost curve instead: numbers of stored requests, rising, as 10000,100000")
	flags.BoolVar(&o.steady, "steady", false, "only the steady loads of a deployed installation, and idleness")
	flags.BoolVar(&o.lookup, "lookups", false, "only look-ups of the directory dialect, at a steady rate")
	flags.BoolVar(&o.harmOnly, "harm", false, "only what one organization can do to another")
	flags.StringVar(&o.harms, "harms", "", "of what one organization can do to another only what has this in its name, as follow-ups")
	flags.IntVar(&o.backlog, "fairness", 0, "measure fairness instead, beside a backlog of this many requests")
	flags.StringVar(&o.page, "write", "", "put the tables into their places in this file")
	flags.StringVar(&o.explained, "explain", "", "with -curve: write the plans of the hot statements at the last size to this file")
	flags.StringVar(&o.role, "role", "", "for the processes of a run: echo, asynq, receiver, bare-api or bare-worker")
	flags.StringVar(&o.address, "address", "", "where the role serves, or the Redis URL it uses")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if *short {
		*seconds = 2
	}
	o.measure = time.Duration(*seconds) * time.Second
	o.clients = clientCounts
	if *quick {
		o.measure, o.clients = time.Second, []int{fullSpeedClients}
	}
	var err error
	o.sizes, err = parseSizeList(*curve)
	if err != nil || *seconds < 1 || *seconds > 60 || o.backlog < 0 || flags.NArg() > 0 {
		flags.Usage()
		return o, errors.Join(errors.New("wrong usage"), err)
	}
	return o, nil
}

// parseSizeList reads rising numbers with commas between.
func parseSizeList(text string) (sizes []int, err error) {
	if text == "" {
		return nil, nil
	}
	for field := range strings.SplitSeq(text, ",") {
		n, err := strconv.Atoi(field)
		if err != nil || n < 1000 || n > fillMost || len(sizes) > 0 && n <= sizes[len(sizes)-1] {
			return nil, fmt.Errorf("%q is not a list of rising numbers from 1000 to %d", text, fillMost)
		}
		sizes = append(sizes, n)
	}
	return sizes, nil
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
	case roleBareAPI:
		return serveBareAPI(ctx, o.address)
	case roleBareWorker:
		return serveBareWorker(ctx, o.address)
	}
	return fmt.Errorf("unknown role %q", o.role)
}

// bench is one run.
type bench struct {
	options
	self     string // this program
	dir      string // temporary; binaries, logs, embedded data
	module   string // folder of this repository
	programs system.Programs
	admin    *database
	redis    string
	report   *report
	// hot is what the last load of a curve ran, for hotFor requests.
	hot    statements
	hotFor int
}

// plan is what a run does, and the name of its place in the page.
func (b *bench) plan() (place string, parts []func(context.Context) error) {
	switch {
	case len(b.sizes) > 0:
		return "curve", []func(context.Context) error{b.curve}
	case b.backlog > 0:
		return "fairness", []func(context.Context) error{b.fairness, b.harm}
	case b.harmOnly:
		return "harm", []func(context.Context) error{b.harm}
	case b.lookup:
		return "lookups", []func(context.Context) error{b.lookups}
	case b.options.steady:
		return "steady", []func(context.Context) error{b.bareSteady, b.steady}
	}
	return "speed", []func(context.Context) error{b.echo, b.asynq, b.postgres, b.bareSteady, b.accepting, b.endToEnd, b.compare}
}

// measure takes the measurements and prints them.
func measure(ctx context.Context, o options) (err error) {
	b, err := newBench(ctx, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	if err := b.build(ctx); err != nil {
		return err
	}
	place, parts := b.plan()
	for _, part := range parts {
		if err := part(ctx); err != nil {
			return err
		}
	}
	b.report.end()
	fmt.Print(b.report.text())
	if len(b.report.breaches) > 0 {
		return fmt.Errorf("webhooks were lost, or came under two ids:\n%s", strings.Join(b.report.breaches, "\n"))
	}
	if o.page == "" {
		return nil
	}
	return system.WritePlace(o.page, place, b.report.markdown())
}

func (b *bench) compare(context.Context) error {
	b.report.compare(b.clients)
	return nil
}

func newBench(ctx context.Context, o options) (*bench, error) {
	databaseURL, redisURL := os.Getenv("TEST_DATABASE_URL"), os.Getenv("TEST_REDIS_URL")
	if databaseURL == "" || redisURL == "" {
		return nil, errors.New("TEST_DATABASE_URL and TEST_REDIS_URL are not set: run `make bench`, which starts the servers")
	}
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
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
		return nil, errors.Join(fmt.Errorf("make a directory for the run: %w", err), admin.Close())
	}
	now := parseProcessors(readText("/proc/stat"))
	report := &report{facts: facts, echo: rates{}, accepts: map[string]rates{}, finished: map[string]rates{}, first: now, last: now}
	for _, way := range ways {
		report.accepts[way], report.finished[way] = rates{}, rates{}
	}
	return &bench{options: o, self: self, dir: dir, admin: admin, redis: redisURL, report: report}, nil
}

func (b *bench) close() error { return errors.Join(b.admin.Close(), os.RemoveAll(b.dir)) }

// build builds the commands under test.
func (b *bench) build(ctx context.Context) error {
	progress("building the commands")
	module, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	if err != nil {
		return fmt.Errorf("find the module: %w", err)
	}
	b.module = filepath.Dir(strings.TrimSpace(string(module)))
	b.report.names = names()
	b.programs, err = system.Build(ctx, b.dir, "usersync", "api", "worker")
	return err
}

func progress(format string, args ...any) { fmt.Fprintf(os.Stderr, "load: "+format+"\n", args...) }
