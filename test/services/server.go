//go:build unix

package services

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	// startTimeout bounds a start whose context has no earlier deadline. It
	// leaves room for a crash recovery on a slow disk.
	startTimeout = 60 * time.Second
	// stopTimeout is how long an orderly end may take before it becomes a kill.
	stopTimeout = 20 * time.Second
	// failureLines is how much of the log the error of a failed start shows.
	failureLines = 30
)

// The ports handed out lie below the range from which Linux (32768 up) and the
// BSDs (49152 up) take the local ports of outgoing connections. Else a client
// that dials while the server is down could be given that very port, and keep
// the server from coming back.
const (
	firstPort = 20000
	lastPort  = 31999
)

// errTransient marks a start that fails for a reason that passes by itself.
var errTransient = errors.New("try again")

// transientFailures are the words a server dies with when something of another
// process is still in its way.
var transientFailures = []string{
	"Address already in use",           // the port was taken since it was found free
	"pre-existing shared memory block", // PostgreSQL: a child of a killed postmaster is still ending
}

// server is one server program that is started again and again with the same
// port and directory. Its methods may be called from several goroutines.
type server struct {
	// name is for messages.
	name string
	// dir belongs to this server alone and is removed by Stop.
	dir string
	// command builds the program's command line for the present port.
	command func() *exec.Cmd
	// ready returns nil when the program, which has the given process id,
	// answers a query.
	ready func(ctx context.Context, pid int) error
	// endSignal asks for an orderly end that loses nothing.
	endSignal syscall.Signal
	// discardSignal asks for the quickest end that leaves no litter.
	discardSignal syscall.Signal
	// cleanUp removes what a killed server leaves outside dir.
	cleanUp func()

	mu      sync.Mutex
	port    int
	process *process // the last one started; nil before the first start
}

// startNew starts the server for the first time, on a free port.
func (s *server) startNew(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.retry(ctx, func(ctx context.Context) error {
		port, err := freePort()
		if err != nil {
			return err
		}
		s.port = port
		return s.launch(ctx)
	})
}

// Start starts the server again on the same port and data, and returns when it
// answers a query. It is an error when the server runs.
func (s *server) Start(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.start(ctx)
}

// Restart ends the server in good order, when it runs, and starts it again on
// the same port and data.
func (s *server) Restart(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.process.stop(s.endSignal, stopTimeout); err != nil {
		return err
	}
	return s.start(ctx)
}

// Terminate sends SIGTERM and waits for nothing. Redis then ends; PostgreSQL
// takes no new connection and ends when the last one has gone ("smart shutdown"
// in the manual). Restart brings the server back however far it has come.
func (s *server) Terminate() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.running() {
		return fmt.Errorf("%s does not run", s.name)
	}
	return s.process.signal(syscall.SIGTERM)
}

// Kill ends the server and all its children with SIGKILL, as a crash does, and
// returns when none of them is left. The port and the directory stay; Start
// brings the server back. Killing a dead server does nothing.
func (s *server) Kill() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.process.kill()
}

// Pause stops the server and all its children with SIGSTOP: connections stay
// open, the kernel even accepts new ones, but nothing answers until Resume.
func (s *server) Pause() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.process.pause()
}

// Resume lets a paused server go on where it was.
func (s *server) Resume() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.process.resume()
}

// Stop ends the server and removes its directory. It may be called more than
// once and in every state; the server cannot be started afterwards.
func (s *server) Stop() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var err error
	if s.process != nil {
		err = s.process.stop(s.discardSignal, stopTimeout)
		s.cleanUp()
	}
	return errors.Join(err, os.RemoveAll(s.dir))
}

// PID returns the process id of the server, 0 when it does not run.
func (s *server) PID() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.running() {
		return 0
	}
	return s.process.pid()
}

// Addr returns the host and port the server listens on, also while it is down.
func (s *server) Addr() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.addr()
}

func (s *server) addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)) }

func (s *server) running() bool { return s.process != nil && !s.process.exited() }

func (s *server) start(ctx context.Context) error {
	if s.running() {
		return fmt.Errorf("%s runs already", s.name)
	}
	return s.retry(ctx, s.launch)
}

// retry calls launch until it succeeds, fails for good or runs out of time.
func (s *server) retry(ctx context.Context, launch func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		err := launch(ctx)
		if !errors.Is(err, errTransient) || sleep(ctx, pollEvery) != nil {
			return err
		}
	}
}

// launch starts the program once and waits until it is ready.
func (s *server) launch(ctx context.Context) error {
	log, err := os.OpenFile(s.logFile(), os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("open the log of %s: %w", s.name, err)
	}
	defer func() { _ = log.Close() }()
	before, err := log.Seek(0, io.SeekEnd)
	if err != nil {
		return fmt.Errorf("open the log of %s: %w", s.name, err)
	}
	cmd := s.command()
	cmd.Stdout, cmd.Stderr = log, log
	p, err := startProcess(cmd)
	if err != nil {
		return err
	}
	s.process = p
	if err := s.awaitReady(ctx, p); err != nil {
		return errors.Join(failure(s.name, err, log, before), p.kill())
	}
	return nil
}

// awaitReady polls until the program answers, dies or the context ends.
func (s *server) awaitReady(ctx context.Context, p *process) error {
	for {
		err := s.ready(ctx, p.pid())
		if err == nil {
			return nil
		}
		if p.exited() {
			return errors.New("it ended")
		}
		if sleep(ctx, pollEvery) != nil {
			return fmt.Errorf("it was not ready in time (%w): %w", context.Cause(ctx), err)
		}
	}
}

func (s *server) logFile() string { return filepath.Join(s.dir, "server.log") }

// failure describes a failed start by the end of what was logged during it.
func failure(name string, reason error, log io.ReaderAt, from int64) error {
	text, err := io.ReadAll(io.NewSectionReader(log, from, 1<<20))
	if err != nil {
		return errors.Join(reason, err)
	}
	for _, words := range transientFailures {
		if strings.Contains(string(text), words) {
			reason = errors.Join(reason, errTransient)
			break
		}
	}
	return fmt.Errorf("%s did not start: %w; the end of its log:\n%s", name, reason, lastLines(string(text), failureLines))
}

func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// freePort returns a port that nobody listens on right now.
func freePort() (int, error) {
	var err error
	for range 100 {
		port := firstPort + rand.IntN(lastPort-firstPort+1)
		var l net.Listener
		l, err = net.Listen("tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err == nil {
			return port, l.Close()
		}
	}
	return 0, fmt.Errorf("no free port from %d to %d: %w", firstPort, lastPort, err)
}
