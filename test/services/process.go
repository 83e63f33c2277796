//go:build unix

package services

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	// pollEvery is how often a state that nothing announces is looked at again.
	pollEvery = 10 * time.Millisecond
	// signalTimeout bounds what the kernel does at once: stopping or ending
	// a process. Reaching it means that something is badly wrong.
	signalTimeout = 10 * time.Second
)

// ErrNotRunning is the error of what cannot be done to a process that has ended.
var ErrNotRunning = errors.New("the process is not running")

// forker runs functions on one operating-system thread that lives as long as
// this process. Linux kills a child with Pdeathsig when the *thread* that
// forked it ends, so children must not be forked from just any goroutine.
var forker = sync.OnceValue(func() chan<- func() {
	jobs := make(chan func())
	go func() {
		runtime.LockOSThread()
		for job := range jobs {
			job()
		}
	}()
	return jobs
})

// Process is a program that was started once: a child of this process.
type Process struct {
	Name string // for messages
	cmd  *exec.Cmd
	log  string // file; "" when the caller keeps what the program writes
	from int64  // where in the log this start begins
	// done is closed once the child has ended and has been reaped; err is then
	// what exec.Cmd.Wait returned.
	done chan struct{}
	err  error
}

// StartProcess starts cmd in a process group of its own, so that a Ctrl-C at
// the terminal does not reach it. On Linux the kernel kills it when this
// process ends, however it ends. The name is for messages. What the program
// writes is appended to the file log; with log "" it goes where cmd says. The
// caller ends the process, and does not wait for cmd itself.
func StartProcess(name string, cmd *exec.Cmd, log string) (*Process, error) {
	p := &Process{Name: name, cmd: cmd, log: log, done: make(chan struct{})}
	if log != "" {
		file, err := os.OpenFile(log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
		if err != nil {
			return nil, fmt.Errorf("open the log of %s: %w", name, err)
		}
		defer func() { _ = file.Close() }() // the child has its own
		if p.from, err = file.Seek(0, io.SeekEnd); err != nil {
			return nil, fmt.Errorf("find the end of the log of %s: %w", name, err)
		}
		cmd.Stdout, cmd.Stderr = file, file
	}
	if err := fork(cmd); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() {
		defer close(p.done)
		p.err = cmd.Wait()
	}()
	return p, nil
}

// fork starts cmd from the thread of forker.
func fork(cmd *exec.Cmd) error {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true
	dieWithParent(cmd.SysProcAttr)
	result := make(chan error, 1)
	forker() <- func() { result <- cmd.Start() }
	return <-result
}

// Environment is what every program of ours needs, and the given settings. It
// has nothing else of the environment of whoever runs the tests.
func Environment(settings ...string) []string {
	env := []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "TMPDIR=" + os.TempDir()}
	return append(env, settings...)
}

// PID returns the id of the process, also after its end.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Done returns a channel that is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Wait waits until the process has ended, and returns nil when its exit status
// was 0, else an *exec.ExitError.
func (p *Process) Wait() error {
	<-p.done
	return p.err
}

// Ended reports whether the process has ended.
func (p *Process) Ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// AwaitReady calls ready until it returns nil. It returns an error with the end
// of the log when the process, or ctx, ends before; the process is left as it
// is.
func (p *Process) AwaitReady(ctx context.Context, ready func(context.Context) error) error {
	for {
		err := ready(ctx)
		if err == nil {
			return nil
		}
		if p.Ended() {
			return p.notReady(errors.New("it ended"))
		}
		if Sleep(ctx, pollEvery) != nil {
			return p.notReady(fmt.Errorf("it was not ready in time (%w): %w", context.Cause(ctx), err))
		}
	}
}

// notReady describes a failed start by the end of what was logged during it.
func (p *Process) notReady(reason error) error {
	text, err := p.Output()
	if err != nil {
		return errors.Join(reason, err)
	}
	return fmt.Errorf("%s did not start: %w; the end of its log:\n%s", p.Name, reason, lastLines(text, failureLines))
}

// readyAnswerWithin bounds one call of Answers.
const readyAnswerWithin = 2 * time.Second

// Answers is a condition for AwaitReady: that a GET of url is answered with 200.
func Answers(url string) func(context.Context) error {
	return func(ctx context.Context) error {
		client := http.Client{Timeout: readyAnswerWithin}
		defer client.CloseIdleConnections()
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return fmt.Errorf("ask whether a program is ready: %w", err)
		}
		answer, err := client.Do(request)
		if err != nil {
			return fmt.Errorf("ask whether a program is ready: %w", err)
		}
		_ = answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			return fmt.Errorf("%s answers %s", url, answer.Status)
		}
		return nil
	}
}

// Output returns what the process has written to its log, at most 1 MiB of it.
func (p *Process) Output() (string, error) {
	file, err := os.Open(p.log)
	if err != nil {
		return "", fmt.Errorf("read the log of %s: %w", p.Name, err)
	}
	defer func() { _ = file.Close() }()
	text, err := io.ReadAll(io.NewSectionReader(file, p.from, 1<<20))
	if err != nil {
		return "", fmt.Errorf("read the log of %s: %w", p.Name, err)
	}
	return string(text), nil
}

// Tail returns the last n lines of the log, or why it cannot be read. They may
// be of earlier starts that had the same log.
func (p *Process) Tail(n int) string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return lastLines(string(text), n)
}

func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// Signal goes through os.Process, which never signals a stranger that got the
// number of a child already reaped. It returns ErrNotRunning for such a child.
func (p *Process) Signal(sig syscall.Signal) error {
	err := p.cmd.Process.Signal(sig)
	if errors.Is(err, os.ErrProcessDone) {
		return ErrNotRunning
	}
	if err != nil {
		return fmt.Errorf("signal %s to %s: %w", sig, p.Name, err)
	}
	return nil
}

// SignalGroup signals the process and all in its process group, once each. It
// returns ErrNotRunning when none of them is left.
func (p *Process) SignalGroup(sig syscall.Signal) error {
	err := syscall.Kill(-p.PID(), sig)
	if errors.Is(err, syscall.ESRCH) {
		return ErrNotRunning
	}
	if err != nil {
		return fmt.Errorf("signal %s to %s and its group: %w", sig, p.Name, err)
	}
	return nil
}

// freeze stops the process and returns its descendants. A stopped parent
// neither forks nor reaps, so until it goes on the list is complete and none of
// the numbers in it can pass to a stranger.
func (p *Process) freeze() ([]proc, error) {
	if p.Ended() {
		return nil, ErrNotRunning
	}
	if err := p.Signal(syscall.SIGSTOP); err != nil {
		return nil, err
	}
	var all []proc
	err := p.await(func() (bool, error) {
		var err error
		all, err = processes()
		return isStopped(all, p.PID()), err
	})
	if err != nil {
		return nil, fmt.Errorf("stop %s: %w", p.Name, err)
	}
	return descendants(all, p.PID()), nil
}

// Pause stops the process and all its descendants.
func (p *Process) Pause() error {
	children, err := p.freeze()
	if err != nil {
		return err
	}
	return signalAll(children, syscall.SIGSTOP)
}

// Resume lets a paused process and its descendants go on; it harms none that
// runs already.
func (p *Process) Resume() error {
	children, err := p.freeze()
	if err != nil {
		return err
	}
	return errors.Join(signalAll(children, syscall.SIGCONT), p.Signal(syscall.SIGCONT))
}

// Kill ends the process alone with SIGKILL, as a crash does, and returns when
// it has ended. It returns nil when the process had ended before.
func (p *Process) Kill() error {
	if err := p.Signal(syscall.SIGKILL); err != nil && !errors.Is(err, ErrNotRunning) {
		return err
	}
	<-p.done
	return nil
}

// KillTree ends the process and all its descendants with SIGKILL and returns
// when none of them is left. It returns nil when the process had ended before.
func (p *Process) KillTree() error {
	children, err := p.freeze()
	if errors.Is(err, ErrNotRunning) {
		<-p.done
		return nil
	}
	// Whatever freeze met, the process must not live on.
	err = errors.Join(err, signalAll(children, syscall.SIGKILL), p.Kill())
	return errors.Join(err, awaitGone(children))
}

// Stop asks the process to end with sig. One that has not ended within the
// timeout is killed with all it started, which is an error; a paused one must go
// on before it can end. It returns nil when the process had ended before.
func (p *Process) Stop(sig syscall.Signal, timeout time.Duration) error {
	if err := p.Signal(sig); err != nil && !errors.Is(err, ErrNotRunning) {
		return errors.Join(err, p.KillTree())
	}
	select {
	case <-p.done:
		return nil
	case <-time.After(timeout):
		err := fmt.Errorf("%s did not end within %s of %s and was killed", p.Name, timeout, sig)
		return errors.Join(err, p.KillTree())
	}
}

// await polls until reached reports true. It ends early with ErrNotRunning when
// the process ends.
func (p *Process) await(reached func() (bool, error)) error {
	return pollFor(signalTimeout, func() (bool, error) {
		if p.Ended() {
			return false, ErrNotRunning
		}
		return reached()
	})
}

// proc is one line of the process table.
type proc struct {
	pid, ppid int
	// state is T for stopped, Z for ended but not yet reaped.
	state byte
	// started tells two processes apart that had the same number one after the
	// other.
	started string
	// cpu is what it has taken of the processors, with its ended children; only
	// on Linux.
	cpu time.Duration
}

func isStopped(all []proc, pid int) bool {
	for _, p := range all {
		if p.pid == pid {
			return p.state == 'T'
		}
	}
	return false
}

// descendants returns the children of pid, their children, and so on. Those that
// have ended and were not waited for are among them.
func descendants(all []proc, pid int) []proc {
	var found []proc
	for _, p := range all {
		if p.ppid == pid {
			found = append(found, p)
			found = append(found, descendants(all, p.pid)...)
		}
	}
	return found
}

// ended reports whether p runs no more. An orphan may stay in the table like
// this for ever where the container's first process reaps nobody.
func (p proc) ended() bool { return p.state == 'Z' || p.state == 'X' }

func signalAll(procs []proc, sig syscall.Signal) error {
	var errs []error
	for _, p := range procs {
		if err := syscall.Kill(p.pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
			errs = append(errs, fmt.Errorf("signal %s to process %d: %w", sig, p.pid, err))
		}
	}
	return errors.Join(errs...)
}

// awaitGone waits until none of procs runs any more, and with them the memory
// and ports they held.
func awaitGone(procs []proc) error {
	return pollFor(signalTimeout, func() (bool, error) {
		all, err := processes()
		return !anyAlive(all, procs), err
	})
}

func anyAlive(all, procs []proc) bool {
	for _, now := range all {
		for _, p := range procs {
			if now.pid == p.pid && now.started == p.started && !now.ended() {
				return true
			}
		}
	}
	return false
}

// pollFor polls a state of the system, at most for a time.
func pollFor(timeout time.Duration, reached func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	return Poll(ctx, pollEvery, reached)
}

// Poll calls reached, with pauses between, until it reports true or fails, or
// until ctx ends, whose error it then returns.
func Poll(ctx context.Context, pause time.Duration, reached func() (bool, error)) error {
	for {
		ok, err := reached()
		if ok || err != nil {
			return err
		}
		if err := Sleep(ctx, pause); err != nil {
			return err
		}
	}
}

// Sleep waits for d, or less when ctx ends, whose error it then returns.
func Sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
