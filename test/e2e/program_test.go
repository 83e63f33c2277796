//go:build unix

package e2e

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
	"strings"
	"syscall"
	"testing"
	"time"

	"usersync/test/services"
)

// program is one of ours that is started again and again with the same
// settings. Its log goes on in one file.
type program struct {
	name string // for people
	env  []string
	args []string // the program's name first
	ops  string   // where /readyz answers
	log  string

	cmd  *exec.Cmd
	done chan struct{}
}

// startWithin is how long a program may take until it is ready: it may have a
// database to recover.
const startWithin = time.Minute

// stopWithin is how long a program may take to end after SIGTERM.
const stopWithin = 30 * time.Second

// newProgram describes a program; start starts it.
func newProgram(t *testing.T, name, ops string, env []string, args ...string) *program {
	t.Helper()
	p := &program{name: name, ops: ops, env: env, args: args, log: filepath.Join(t.TempDir(), "log")}
	if *logs != "" {
		p.log = filepath.Join(*logs, t.Name()+" "+name+".log")
		p.env = append([]string{"LOG_LEVEL=debug"}, env...)
	}
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("the end of the log of %s:\n%s", name, p.tail(25))
		}
	})
	return p
}

// start starts the program and waits until it is ready.
func (p *program) start(t *testing.T) {
	t.Helper()
	p.launch(t)
	await(t, startWithin, p.name+" is ready", func() bool { return p.ended() || p.ready() }, func() string { return p.tail(25) })
	if p.ended() {
		t.Fatalf("%s ended while it started:\n%s", p.name, p.tail(25))
	}
}

// launch starts the program.
func (p *program) launch(t *testing.T) {
	t.Helper()
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	must(t, err)
	defer func() { _ = log.Close() }()
	p.cmd = exec.Command(filepath.Join(programs, p.args[0]), p.args[1:]...)
	p.cmd.Env = environment(p.env)
	p.cmd.Stdout, p.cmd.Stderr = log, log
	must(t, services.StartProcess(p.cmd))
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

func (p *program) ready() bool {
	client := http.Client{Timeout: 2 * time.Second}
	defer client.CloseIdleConnections()
	answer, err := client.Get("http://" + p.ops + "/readyz")
	if err != nil {
		return false
	}
	_ = answer.Body.Close()
	return answer.StatusCode == http.StatusOK
}

func (p *program) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// kill ends the program as a crash does.
func (p *program) kill() {
	if p.cmd == nil {
		return
	}
	_ = p.cmd.Process.Kill() // fails only when it has ended
	<-p.done
}

// stop asks the program to end and fails the test when it does not do so in
// good order and in time. It returns how long that took.
func (p *program) stop(t *testing.T) time.Duration {
	t.Helper()
	began := time.Now()
	must(t, p.cmd.Process.Signal(syscall.SIGTERM))
	select {
	case <-p.done:
	case <-time.After(stopWithin):
		t.Errorf("%s did not end within %s of SIGTERM", p.name, stopWithin)
		p.kill()
	}
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("%s ended with %s after SIGTERM, want exit status 0", p.name, p.cmd.ProcessState)
	}
	return time.Since(began)
}

// tail returns the last lines of the log.
func (p *program) tail(n int) string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimRight(string(text), "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// command runs `usersync` with arguments and decodes what it prints into out.
func command(t *testing.T, env []string, out any, args ...string) {
	t.Helper()
	text := output(t, env, args...)
	if err := json.Unmarshal(text, out); err != nil {
		t.Fatalf("usersync %s printed no JSON: %v\n%s", strings.Join(args, " "), err, text)
	}
}

func output(t *testing.T, env []string, args ...string) []byte {
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

// freeAddr returns a loopback address that nobody listens on. The ports lie
// below those that outgoing connections get, so that none is lost to one while
// its program is down. The embedded service also uses the port above.
func freeAddr(t *testing.T) string {
	t.Helper()
	const first, last = 12000, 19998
	for range 100 {
		port := first + 2*rand.IntN((last-first)/2)
		if vacant(port) && vacant(port+1) {
			return fmt.Sprintf("127.0.0.1:%d", port)
		}
	}
	t.Fatalf("no free port from %d to %d", first, last)
	return ""
}

func vacant(port int) bool {
	l, err := net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return false
	}
	return l.Close() == nil
}
