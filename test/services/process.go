//go:build unix

package services

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
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

var errNotRunning = errors.New("the process is not running")

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

// StartProcess starts cmd in a process group of its own, so that a Ctrl-C at
// the terminal does not reach it. On Linux the kernel kills it when this
// process ends, however it ends. The caller waits for cmd.
func StartProcess(cmd *exec.Cmd) error {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true
	dieWithParent(cmd.SysProcAttr)
	result := make(chan error, 1)
	forker() <- func() { result <- cmd.Start() }
	return <-result
}

// process is a started child.
type process struct {
	cmd *exec.Cmd
	// done is closed once the child has ended and has been reaped.
	done chan struct{}
}

func startProcess(cmd *exec.Cmd) (*process, error) {
	if err := StartProcess(cmd); err != nil {
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	p := &process{cmd: cmd, done: make(chan struct{})}
	go func() {
		defer close(p.done)
		_ = cmd.Wait() // how it ended is told by its log
	}()
	return p, nil
}

func (p *process) pid() int { return p.cmd.Process.Pid }

func (p *process) exited() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// signal goes through os.Process, which never signals a stranger that got the
// number of a child already reaped. It returns errNotRunning for such a child.
func (p *process) signal(sig syscall.Signal) error {
	err := p.cmd.Process.Signal(sig)
	if errors.Is(err, os.ErrProcessDone) {
		return errNotRunning
	}
	if err != nil {
		return fmt.Errorf("signal %s to %s: %w", sig, p.cmd.Path, err)
	}
	return nil
}

// freeze stops the process and returns its descendants. A stopped parent
// neither forks nor reaps, so until it goes on the list is complete and none of
// the numbers in it can pass to a stranger.
func (p *process) freeze() ([]proc, error) {
	if p.exited() {
		return nil, errNotRunning
	}
	if err := p.signal(syscall.SIGSTOP); err != nil {
		return nil, err
	}
	var all []proc
	err := p.await(func() (bool, error) {
		var err error
		all, err = processes()
		return isStopped(all, p.pid()), err
	})
	if err != nil {
		return nil, fmt.Errorf("stop %s: %w", p.cmd.Path, err)
	}
	return descendants(all, p.pid()), nil
}

// pause stops the process and all its descendants.
func (p *process) pause() error {
	children, err := p.freeze()
	if err != nil {
		return err
	}
	return signalAll(children, syscall.SIGSTOP)
}

// resume lets a paused process and its descendants go on; it harms none that
// runs already.
func (p *process) resume() error {
	children, err := p.freeze()
	if err != nil {
		return err
	}
	return errors.Join(signalAll(children, syscall.SIGCONT), p.signal(syscall.SIGCONT))
}

// kill ends the process and all its descendants with SIGKILL and returns when
// none of them is left. It returns nil when the process had ended before.
func (p *process) kill() error {
	children, err := p.freeze()
	if errors.Is(err, errNotRunning) {
		<-p.done
		return nil
	}
	// Whatever freeze met, the process must not live on.
	err = errors.Join(err, signalAll(children, syscall.SIGKILL))
	if e := p.signal(syscall.SIGKILL); e != nil && !errors.Is(e, errNotRunning) {
		return errors.Join(err, e)
	}
	<-p.done
	return errors.Join(err, awaitGone(children))
}

// stop asks the process to end with sig, and kills it when it has not within
// the timeout.
func (p *process) stop(sig syscall.Signal, timeout time.Duration) error {
	err := p.resume()
	if err == nil {
		err = p.signal(sig)
	}
	if err != nil && !errors.Is(err, errNotRunning) {
		return errors.Join(err, p.kill())
	}
	select {
	case <-p.done:
		return nil
	case <-time.After(timeout):
		err := fmt.Errorf("%s did not end within %s of %s and was killed", p.cmd.Path, timeout, sig)
		return errors.Join(err, p.kill())
	}
}

// await polls until reached reports true. It ends early with errNotRunning when
// the process ends.
func (p *process) await(reached func() (bool, error)) error {
	return poll(signalTimeout, func() (bool, error) {
		if p.exited() {
			return false, errNotRunning
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
}

func isStopped(all []proc, pid int) bool {
	for _, p := range all {
		if p.pid == pid {
			return p.state == 'T'
		}
	}
	return false
}

// descendants returns the living children of pid, their children, and so on.
func descendants(all []proc, pid int) []proc {
	var found []proc
	for _, p := range all {
		if p.ppid == pid && !p.ended() {
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
	return poll(signalTimeout, func() (bool, error) {
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

// poll calls reached until it reports true or fails, or the timeout is over.
func poll(timeout time.Duration, reached func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	for {
		ok, err := reached()
		if ok || err != nil {
			return err
		}
		if err := sleep(ctx, pollEvery); err != nil {
			return err
		}
	}
}

// sleep waits for d, or less when ctx ends, whose error it then returns.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
