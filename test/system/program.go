//go:build unix

package system

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"usersync/test/services"
)

// Program is one of ours that is started again and again with the same
// settings. Its log goes on in one file.
type Program struct {
	Name string // for people
	Ops  string // where /readyz answers
	env  []string
	args []string // the program's name first
	log  string

	cmd  *exec.Cmd
	done chan struct{}
}

// startWithin is how long a program may take until it is ready: it may have a
// database to recover.
const startWithin = time.Minute

// stopWithin is how long a program may take to end after SIGTERM.
const stopWithin = 30 * time.Second

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
		p.Kill()
		if t.Failed() {
			t.Logf("the end of the log of %s:\n%s", name, p.Tail(25))
		}
	})
	return p
}

// Start starts the program and waits until it is ready.
func (p *Program) Start(t *testing.T) {
	t.Helper()
	p.Launch(t)
	Await(t, startWithin, p.Name+" is ready", func() bool { return p.Ended() || p.ready() }, func() string { return p.Tail(25) })
	if p.Ended() {
		t.Fatalf("%s ended while it started:\n%s", p.Name, p.Tail(25))
	}
}

// Launch starts the program.
func (p *Program) Launch(t *testing.T) {
	t.Helper()
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	Must(t, err)
	defer func() { _ = log.Close() }()
	p.cmd = exec.Command(filepath.Join(programs, p.args[0]), p.args[1:]...)
	p.cmd.Env = environment(p.env)
	p.cmd.Stdout, p.cmd.Stderr = log, log
	Must(t, services.StartProcess(p.cmd))
	done, cmd := make(chan struct{}), p.cmd
	p.done = done
	go func() {
		defer close(done)
		_ = cmd.Wait() // its state tells how it ended
	}()
}

// environment is what every program needs, and nothing of the settings of who
// runs the tests.
func environment(settings []string) []string {
	env := []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "TMPDIR=" + os.TempDir()}
	return append(env, settings...)
}

func (p *Program) ready() bool {
	client := http.Client{Timeout: 2 * time.Second}
	defer client.CloseIdleConnections()
	answer, err := client.Get("http://" + p.Ops + "/readyz")
	if err != nil {
		return false
	}
	_ = answer.Body.Close()
	return answer.StatusCode == http.StatusOK
}

// Ended reports whether the program has ended.
func (p *Program) Ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// Kill ends the program as a crash does.
func (p *Program) Kill() {
	if p.cmd == nil {
		return
	}
	_ = p.cmd.Process.Kill() // fails only when it has ended
	<-p.done
}

// Stop asks the program to end and fails the test when it does not do so in
// good order and in time. It returns how long that took.
func (p *Program) Stop(t *testing.T) time.Duration {
	t.Helper()
	began := time.Now()
	Must(t, p.cmd.Process.Signal(syscall.SIGTERM))
	select {
	case <-p.done:
	case <-time.After(stopWithin):
		t.Errorf("%s did not end within %s of SIGTERM", p.Name, stopWithin)
		p.Kill()
	}
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("%s ended with %s after SIGTERM, want exit status 0", p.Name, p.cmd.ProcessState)
	}
	return time.Since(began)
}

// Tail returns the last lines of the log.
func (p *Program) Tail(n int) string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimRight(string(text), "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// Command runs `usersync` with arguments and decodes what it prints into out.
func Command(t *testing.T, env []string, out any, args ...string) {
	t.Helper()
	text := Output(t, env, args...)
	if err := json.Unmarshal(text, out); err != nil {
		t.Fatalf("usersync %s printed no JSON: %v\n%s", strings.Join(args, " "), err, text)
	}
}

// Output runs `usersync` with arguments and returns what it prints.
func Output(t *testing.T, env []string, args ...string) []byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), filepath.Join(programs, "usersync"), args...)
	cmd.Env = environment(env)
	var text, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &text, &complaint
	if err := cmd.Run(); err != nil {
		t.Fatalf("usersync %s: %v\n%s%s", strings.Join(args, " "), err, &text, &complaint)
	}
	return text.Bytes()
}

// FreeAddr returns a loopback address that nobody listens on and that no other
// test is given while this process lives. The ports lie below those that outgoing
// connections get, so that none is lost to one while its program is down. The
// embedded service also uses the port above.
func FreeAddr(t *testing.T) string {
	t.Helper()
	const first, last = 12000, 19998
	for range 100 {
		port := first + 2*rand.IntN((last-first)/2)
		if reserve(t, port) && vacant(port) && vacant(port+1) {
			return fmt.Sprintf("127.0.0.1:%d", port)
		}
	}
	t.Fatalf("no free port from %d to %d", first, last)
	return ""
}

// reserve keeps a port from the tests of other processes, which run beside this
// one, and from whoever asks next: by a lock that ends with the process.
func reserve(t *testing.T, port int) bool {
	t.Helper()
	dir := filepath.Join(os.TempDir(), fmt.Sprintf("usersync-test-ports-%d", os.Getuid()))
	Must(t, os.MkdirAll(dir, 0o700))
	lock, err := os.OpenFile(filepath.Join(dir, strconv.Itoa(port)), os.O_CREATE|os.O_RDWR, 0o600)
	Must(t, err)
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = lock.Close()
		return false
	}
	reserved.Store(port, lock) // open until the end: closing unlocks
	return true
}

// reserved are the locks of this process.
var reserved sync.Map

func vacant(port int) bool {
	l, err := net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return false
	}
	return l.Close() == nil
}
