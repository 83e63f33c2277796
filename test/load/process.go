//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"usersync/test/services"
)

const (
	// readyWithin is how long a process may take until it serves.
	readyWithin = 30 * time.Second
	// stopWithin is how long it may take to end after SIGTERM; then it is killed.
	stopWithin = 10 * time.Second
	// shownLines is how much of the log of a process an error shows.
	shownLines = 25
)

// start starts a program with just the given environment, so that nothing of
// the terminal's changes a measurement, and waits until it serves at operations.
func (b *bench) start(ctx context.Context, name string, env []string, operations, program string, args ...string) (*services.Process, error) {
	log, err := os.CreateTemp(b.dir, name+"-*.log") // two processes may have one name
	if err != nil {
		return nil, fmt.Errorf("make a log for %s: %w", name, err)
	}
	_ = log.Close()                       // only its name is needed
	cmd := exec.Command(program, args...) //nolint:gosec // one of the programs that this run built
	cmd.Env = services.Environment(env...)
	cmd.Dir = b.dir
	p, err := services.StartProcess(name, cmd, log.Name())
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	if err := p.AwaitReady(ctx, services.Answers("http://"+operations+"/readyz")); err != nil {
		stop(p)
		return nil, err
	}
	return p, nil
}

// stop ends a process: by SIGTERM first, by SIGKILL when that is not enough.
func stop(p *services.Process) {
	if err := p.Stop(syscall.SIGTERM, stopWithin); err != nil {
		progress("%v", err)
	}
}

// complaints is how many lines the process logged; at level warn there should
// be none.
func complaints(p *services.Process) int {
	text, err := p.Output()
	if err != nil {
		return 0
	}
	return strings.Count(text, "\n")
}

// serveRole starts this program in a role that serves, and waits for it.
func (b *bench) serveRole(ctx context.Context, role string) (*services.Process, string, error) {
	addr, err := services.FreeAddr()
	if err != nil {
		return nil, "", err
	}
	p, err := b.start(ctx, role, nil, addr, b.self, "-role", role, "-address", addr)
	return p, addr, err
}

// serveHTTP is the life of such a role.
func serveHTTP(ctx context.Context, addr string, handler http.Handler) error {
	server := &http.Server{Addr: addr, Handler: handler, ReadHeaderTimeout: answerWithin}
	defer context.AfterFunc(ctx, func() { _ = server.Close() })()
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve on %s: %w", addr, err)
	}
	return nil
}
