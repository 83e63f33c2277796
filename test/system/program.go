//go:build unix

package system

import (
	"context"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"usersync/test/services"
)

// Program is one of ours that is started again and again with the same
// settings. Its log goes on in one file.
type Program struct {
	Name    string // for people
	Ops     string // where /readyz answers
	env     []string
	args    []string // the program's name first
	log     string
	process *services.Process // the last one started; nil before the first start
}

// startWithin is how long a program may take until it is ready: it may have a
// database to recover.
const startWithin = time.Minute

// stopWithin is how long a program may take to end after SIGTERM.
const stopWithin = 30 * time.Second

// shownLines is how much of its log is shown of a program when a test fails.
const shownLines = 25

// NewProgram describes a program; Start starts it. The program is killed when
// the test ends.
func NewProgram(t *testing.T, name, ops string, env []string, args ...string) *Program {
	t.Helper()
	p := &Program{Name: name, Ops: ops, env: env, args: args, log: filepath.Join(t.TempDir(), "log")}
	if Logs != "" {
		p.log = filepath.Join(Logs, t.Name()+" "+name+".log")
		p.env = append([]string{"LOG_LEVEL=debug"}, env...)
	}
	t.Cleanup(func() {
		if p.process == nil {
			return
		}
		p.Kill()
		if t.Failed() {
			t.Logf("the end of the log of %s:\n%s", name, p.process.Tail(shownLines))
		}
	})
	return p
}

// Start starts the program and waits until it is ready.
func (p *Program) Start(t *testing.T) {
	t.Helper()
	cmd := exec.Command(programs.Path(p.args[0]), p.args[1:]...)
	cmd.Env = services.Environment(p.env...)
	process, err := services.StartProcess(p.Name, cmd, p.log)
	Must(t, err)
	p.process = process
	ctx, cancel := context.WithTimeout(t.Context(), startWithin)
	defer cancel()
	Must(t, process.AwaitReady(ctx, services.Answers("http://"+p.Ops+"/readyz")))
}

// Kill ends the program as a crash does.
func (p *Program) Kill() { _ = p.process.Kill() } // a signal to a child of ours does not fail

// Pause stops the program in its tracks: it does nothing, and its connections stay.
func (p *Program) Pause(t *testing.T) {
	t.Helper()
	Must(t, p.process.Pause())
}

// Resume has a paused program go on.
func (p *Program) Resume(t *testing.T) {
	t.Helper()
	Must(t, p.process.Resume())
}

// Stop asks the program to end and fails the test when it does not do so in
// good order and in time. It returns how long that took.
func (p *Program) Stop(t *testing.T) time.Duration {
	t.Helper()
	if p.process.Ended() {
		t.Errorf("%s had ended before it was stopped", p.Name)
	}
	began := time.Now()
	if err := p.process.Stop(syscall.SIGTERM, stopWithin); err != nil {
		t.Error(err)
	}
	if err := p.process.Wait(); err != nil {
		t.Errorf("%s ended with %v after SIGTERM, want exit status 0", p.Name, err)
	}
	return time.Since(began)
}

// Command runs `usersync` with arguments and decodes what it prints into out.
func Command(t *testing.T, env []string, out any, args ...string) {
	t.Helper()
	Must(t, programs.Command(t.Context(), env, out, args...))
}

// Output runs `usersync` with arguments and returns what it prints.
func Output(t *testing.T, env []string, args ...string) []byte {
	t.Helper()
	text, err := programs.Output(t.Context(), env, args...)
	Must(t, err)
	return text
}

// NewAccount makes an organization with a key for everything.
func NewAccount(t *testing.T, env []string, name string) Account {
	t.Helper()
	account, err := programs.NewAccount(t.Context(), env, name)
	Must(t, err)
	return account
}

// FreeAddr returns an address of services.FreeAddr.
func FreeAddr(t *testing.T) string {
	t.Helper()
	addr, err := services.FreeAddr()
	Must(t, err)
	return addr
}
