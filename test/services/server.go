//go:build unix

package services

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
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
	listen  string   // host and port
	process *Process // the last one started; nil before the first start
}

// startNew starts the server for the first time, on a free port.
func (s *server) startNew(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.retry(ctx, func(ctx context.Context) error {
		addr, err := FreeAddr()
		if err != nil {
			return err
		}
		s.listen = addr
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
	if err := s.end(s.endSignal); err != nil {
		return err
	}
	return s.start(ctx)
}

// end asks the program to end with sig; a paused one goes on to do so.
func (s *server) end(sig syscall.Signal) error {
	if err := s.process.Resume(); err != nil && !errors.Is(err, ErrNotRunning) {
		return errors.Join(err, s.process.KillTree())
	}
	return s.process.Stop(sig, stopTimeout)
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
	return s.process.Signal(syscall.SIGTERM)
}

// Kill ends the server and all its children with SIGKILL, as a crash does, and
// returns when none of them is left. The port and the directory stay; Start
// brings the server back. Killing a dead server does nothing.
func (s *server) Kill() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.process.KillTree()
}

// Pause stops the server and all its children with SIGSTOP: connections stay
// open, the kernel even accepts new ones, but nothing answers until Resume.
func (s *server) Pause() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.process.Pause()
}

// Resume lets a paused server go on where it was.
func (s *server) Resume() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.process.Resume()
}

// Stop ends the server and removes its directory. It may be called more than
// once and in every state; the server cannot be started afterwards.
func (s *server) Stop() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var err error
	if s.process != nil {
		err = s.end(s.discardSignal)
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
	return s.process.PID()
}

// Addr returns the host and port the server listens on, also while it is down.
func (s *server) Addr() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.listen
}

func (s *server) port() string {
	_, port, _ := net.SplitHostPort(s.listen) // FreeAddr made it
	return port
}

func (s *server) running() bool { return s.process != nil && !s.process.Ended() }

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
		if !errors.Is(err, errTransient) || Sleep(ctx, pollEvery) != nil {
			return err
		}
	}
}

// launch starts the program once and waits until it is ready.
func (s *server) launch(ctx context.Context) error {
	p, err := StartProcess(s.name, s.command(), filepath.Join(s.dir, "server.log"))
	if err != nil {
		return err
	}
	s.process = p
	err = p.AwaitReady(ctx, func(ctx context.Context) error { return s.ready(ctx, p.PID()) })
	if err != nil {
		return errors.Join(err, transient(err), p.KillTree())
	}
	return nil
}

// transient returns errTransient when the words of a failed start are of those
// that pass, else nil.
func transient(failure error) error {
	for _, words := range transientFailures {
		if strings.Contains(failure.Error(), words) {
			return errTransient
		}
	}
	return nil
}
