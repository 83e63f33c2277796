//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
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
)

// process is a child of this run.
type process struct {
	name string
	cmd  *exec.Cmd
	log  string // file with what it wrote to standard error
	done chan struct{}
}

// start starts a program with just the given environment, so that nothing of
// the terminal's changes a measurement.
func (b *bench) start(name string, env []string, program string, args ...string) (*process, error) {
	log, err := os.CreateTemp(b.dir, name+"-*.log")
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }()
	cmd := exec.Command(program, args...) //nolint:gosec // one of the programs that this run built
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME")}, env...)
	cmd.Dir = b.dir
	cmd.Stderr = log
	if err := services.StartProcess(cmd); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	p := &process{name: name, cmd: cmd, log: log.Name(), done: make(chan struct{})}
	go func() {
		defer close(p.done)
		_ = cmd.Wait() // how it ended is told by its log
	}()
	return p, nil
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// stop ends the process: SIGTERM first, SIGKILL when that is not enough.
func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // fails only when it has ended
	select {
	case <-p.done:
	case <-time.After(stopWithin):
		progress("%s did not end within %s and is killed", p.name, stopWithin)
		_ = p.cmd.Process.Kill()
		<-p.done
	}
}

// await waits until the process answers url with 200.
func (p *process) await(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	var err error
	for {
		if _, err = fetch(ctx, url); err == nil {
			return nil
		}
		select {
		case <-p.done:
			return fmt.Errorf("%s ended early; the end of its log:\n%s", p.name, p.lastWords())
		case <-ctx.Done():
			return fmt.Errorf("%s does not serve: %w; the end of its log:\n%s", p.name, err, p.lastWords())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// lastWords returns the end of what the process logged.
func (p *process) lastWords() string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-2000):])
}

// lastLine returns the last line the process logged.
func (p *process) lastLine() string {
	lines := strings.Split(strings.TrimSpace(p.lastWords()), "\n")
	return lines[len(lines)-1]
}

// complaints is how many lines the process logged; at level warn there should
// be none.
func (p *process) complaints() int {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return 0
	}
	return strings.Count(string(text), "\n")
}

// fetch returns the body of a 200.
func fetch(ctx context.Context, url string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(response.Body, 256<<20))
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", url, response.Status)
	}
	return body, err
}

// serveRole starts this program in a role that serves, and waits for it.
func (b *bench) serveRole(ctx context.Context, role string) (*process, string, error) {
	addr, err := freeAddr()
	if err != nil {
		return nil, "", err
	}
	p, err := b.start(role, nil, b.self, "-role", role, "-address", addr)
	if err != nil {
		return nil, "", err
	}
	if err := p.await(ctx, "http://"+addr+"/readyz"); err != nil {
		p.stop()
		return nil, "", err
	}
	return p, addr, nil
}

// serveHTTP is the life of such a role.
func serveHTTP(ctx context.Context, addr string, handler http.Handler) error {
	server := &http.Server{Addr: addr, Handler: handler, ReadHeaderTimeout: answerWithin}
	defer context.AfterFunc(ctx, func() { _ = server.Close() })()
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// freeAddr returns a loopback address whose port, and the one above it, which
// the embedded demonstration takes, nobody listens on right now.
func freeAddr() (string, error) {
	for range 100 {
		first, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			return "", err
		}
		port := first.Addr().(*net.TCPAddr).Port
		second, err := net.Listen("tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(port+1)))
		_ = first.Close()
		if err == nil {
			_ = second.Close()
			return first.Addr().String(), nil
		}
	}
	return "", errors.New("no two free ports side by side")
}

func (b *bench) binary(name string) string { return filepath.Join(b.dir, name) }
