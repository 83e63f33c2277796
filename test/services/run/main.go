//go:build unix

// Command run runs another command with PostgreSQL and Redis at hand:
//
//	go run ./test/services/run [-cc] [-browser] [-durable] -- command arguments…
//
// It uses the servers that TEST_DATABASE_URL and TEST_REDIS_URL name. For each
// that is not set it starts a private server, installing it first with apt-get
// where it is missing and where it may, and sets the variable for the command.
// The exit status is the command's; 128 + n when signal n ended it; 1 when
// something needed could not be had; 2 for wrong usage.
//
// SIGINT, SIGTERM and SIGHUP go to the command and all it started. The command
// reads nothing from the terminal. The servers always end with this program.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"usersync/test/services"
)

const (
	databaseVariable = "TEST_DATABASE_URL"
	redisVariable    = "TEST_REDIS_URL"

	// grace is how long the command may take to end after the first signal: a
	// little more than the 25 s in which the service shuts down.
	grace = 30 * time.Second
	// parentEvery is how often the parent is looked for.
	parentEvery = 500 * time.Millisecond

	exitFailure = 1
	exitUsage   = 2
)

// forwarded are the signals that are passed on to the command.
var forwarded = []os.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP}

type options struct {
	compiler bool
	browser  bool
	durable  bool
	settings map[string]string // of PostgreSQL
	command  []string
}

func main() { os.Exit(run(os.Args[1:])) }

func run(args []string) int {
	o, err := parse(args)
	if err != nil {
		return exitUsage
	}
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, forwarded...)
	go watchParent(os.Getppid(), signals)

	held := &holding{}
	defer held.stop()
	if err := held.prepare(o); err != nil {
		say("%v", err)
		return exitFailure
	}
	say("%s", strings.Join(held.used, ", "))
	return execute(o.command, held.env, signals)
}

func parse(args []string) (options, error) {
	var o options
	flags := flag.NewFlagSet("run", flag.ContinueOnError)
	flags.BoolVar(&o.compiler, "cc", false, "make sure of a C compiler, which go test -race needs")
	flags.BoolVar(&o.browser, "browser", false, "make sure of Chromium, which the tests of the console need")
	flags.Func("postgres", "a `setting=value` of PostgreSQL; may be given again", o.set)
	flags.BoolVar(&o.durable, "durable", false, "start PostgreSQL with fsync on, as in production")
	flags.Usage = func() {
		fmt.Fprintln(flags.Output(), "usage: run [-cc] [-browser] [-durable] [-postgres setting=value]… -- command arguments…")
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if o.command = flags.Args(); len(o.command) == 0 {
		flags.Usage()
		return o, errors.New("no command")
	}
	return o, nil
}

// set notes a setting of PostgreSQL.
func (o *options) set(text string) error {
	name, value, ok := strings.Cut(text, "=")
	if !ok {
		return fmt.Errorf("%q is not a setting and its value, such as jit=off", text)
	}
	if o.settings == nil {
		o.settings = map[string]string{}
	}
	o.settings[name] = value
	return nil
}

// holding is what was started for the command.
type holding struct {
	// env are the variables that the command gets besides its own.
	env []string
	// used says which servers there are, for people.
	used []string
	held []stopper
}

type stopper interface{ Stop() error }

// prepare starts what is missing. A signal ends it early.
func (h *holding) prepare(o options) error {
	ctx, stop := signal.NotifyContext(context.Background(), forwarded...)
	defer stop()
	if err := ensure(ctx, needsOf(o)); err != nil {
		return err
	}
	if o.compiler {
		h.env = append(h.env, "CGO_ENABLED=1")
	}
	if err := h.database(ctx, o); err != nil {
		return err
	}
	if err := h.redis(ctx); err != nil {
		return err
	}
	return ctx.Err()
}

// needsOf lists what must be installed: no server whose address is given.
func needsOf(o options) []need {
	var needs []need
	if os.Getenv(databaseVariable) == "" {
		needs = append(needs, needPostgres)
	}
	if os.Getenv(redisVariable) == "" {
		needs = append(needs, needRedis)
	}
	if o.compiler {
		needs = append(needs, needCompiler)
	}
	if o.browser {
		needs = append(needs, needBrowser)
	}
	return needs
}

func (h *holding) database(ctx context.Context, o options) error {
	if os.Getenv(databaseVariable) != "" {
		h.used = append(h.used, "PostgreSQL from "+databaseVariable)
		return nil
	}
	p, err := services.StartPostgres(ctx, services.PostgresOptions{Durable: o.durable, Settings: o.settings})
	if err != nil {
		return err
	}
	h.hold(p, "PostgreSQL", databaseVariable, p.URL())
	return nil
}

func (h *holding) redis(ctx context.Context) error {
	if os.Getenv(redisVariable) != "" {
		h.used = append(h.used, "Redis from "+redisVariable)
		return nil
	}
	r, err := services.StartRedis(ctx, services.RedisOptions{})
	if err != nil {
		return err
	}
	h.hold(r, "Redis", redisVariable, r.URL())
	return nil
}

func (h *holding) hold(s stopper, name, variable, url string) {
	h.held = append(h.held, s)
	h.env = append(h.env, variable+"="+url)
	h.used = append(h.used, "private "+name+" at "+url)
}

func (h *holding) stop() {
	for _, s := range h.held {
		if err := s.Stop(); err != nil {
			say("%v", err)
		}
	}
}

// execute runs the command and returns its exit status. The command has
// a process group of its own, so that a signal reaches all it started, once.
func execute(command, env []string, signals <-chan os.Signal) int {
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	process, err := services.StartProcess(command[0], cmd, "")
	if err != nil {
		say("%v", err)
		return exitFailure
	}
	var tooLate <-chan time.Time
	for {
		select {
		case <-process.Done():
			_ = process.SignalGroup(syscall.SIGKILL) // what the command left behind; mostly nothing
			return statusOf(process.Wait())
		case s := <-signals:
			_ = process.SignalGroup(s.(syscall.Signal)) // fails only when the command has just ended
			if tooLate == nil {
				tooLate = time.After(grace)
			}
		case <-tooLate:
			say("the command did not end within %s and is killed", grace)
			_ = process.SignalGroup(syscall.SIGKILL)
		}
	}
}

// statusOf turns the outcome of a command into an exit status as shells do.
func statusOf(err error) int {
	if err == nil {
		return 0
	}
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok {
		say("%v", err)
		return exitFailure
	}
	if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal())
	}
	return exit.ExitCode()
}

// watchParent reports a SIGTERM when the parent has ended: `go run`, killed by
// make or by a build server, passes no signal on. The caller names the parent,
// so that it is known before the command starts.
func watchParent(parent int, signals chan<- os.Signal) {
	for range time.Tick(parentEvery) {
		if os.Getppid() != parent {
			signals <- syscall.SIGTERM
			return
		}
	}
}

// say speaks on standard error: standard output belongs to the command.
func say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "services: "+format+"\n", args...)
}
