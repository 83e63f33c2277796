//go:build unix

package services

import (
	"context"
	"errors"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// shell starts a script that writes to a log.
func shell(t *testing.T, script string) *Process {
	t.Helper()
	p, err := StartProcess("script", exec.Command("sh", "-c", script), filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.KillTree() })
	return p
}

// says waits until the process has written a word.
func (p *Process) says(t *testing.T, word string) {
	t.Helper()
	waitFor(t, func() bool {
		text, err := p.Output()
		return err == nil && strings.Contains(text, word)
	})
}

func never(context.Context) error { return errors.New("nobody answers") }

func TestAwaitReadyShowsTheEndOfTheLogOfAProcessThatEnded(t *testing.T) {
	t.Parallel()
	p := shell(t, "echo out of order >&2; exit 3")
	err := p.AwaitReady(t.Context(), never)
	if err == nil || !strings.Contains(err.Error(), "script did not start: it ended; the end of its log:\nout of order") {
		t.Errorf("error %v", err)
	}
	if exit, ok := errors.AsType[*exec.ExitError](p.Wait()); !ok || exit.ExitCode() != 3 {
		t.Errorf("it ended with %v", exit)
	}
}

func TestAwaitReadySaysWhyAProcessIsNotReadyInTime(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), unanswered)
	defer cancel()
	err := shell(t, "exec sleep 60").AwaitReady(ctx, never)
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "nobody answers") {
		t.Errorf("error %v", err)
	}
}

func TestStopKillsAProcessThatDoesNotEndWithAllItStarted(t *testing.T) {
	t.Parallel()
	p := shell(t, "trap '' TERM; sleep 60 & echo $! is the child; wait; wait")
	p.says(t, "is the child")
	err := p.Stop(syscall.SIGTERM, unanswered)
	if err == nil || !strings.Contains(err.Error(), "script did not end within 200ms of terminated and was killed") {
		t.Errorf("error %v", err)
	}
	if all, err := processes(); err != nil || anyOf(all, p.PID()) {
		t.Errorf("the process or its child outlived Stop: %v", err)
	}
}

// anyOf reports whether a process, or one of its group, runs.
func anyOf(all []proc, pid int) bool {
	for _, one := range all {
		if group, err := syscall.Getpgid(one.pid); err == nil && group == pid && !one.ended() {
			return true
		}
	}
	return false
}

func TestStopOfAProcessThatHasEndedIsNoError(t *testing.T) {
	t.Parallel()
	p := shell(t, "exit 0")
	if err := errors.Join(p.Wait(), p.Stop(syscall.SIGTERM, time.Second), p.Kill(), p.KillTree()); err != nil {
		t.Error(err)
	}
	if err := p.Signal(syscall.SIGTERM); !errors.Is(err, ErrNotRunning) {
		t.Errorf("error %v", err)
	}
}

func TestALogGoesOnAndOutputIsOfOneStart(t *testing.T) {
	t.Parallel()
	log := filepath.Join(t.TempDir(), "log")
	var last *Process
	for _, word := range []string{"first", "second"} {
		p, err := StartProcess("script", exec.Command("echo", word), log)
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Wait(); err != nil {
			t.Fatal(err)
		}
		last = p
	}
	if got, err := last.Output(); got != "second\n" || err != nil {
		t.Errorf("Output = %q, %v", got, err)
	}
	if got := last.Tail(2); got != "first\nsecond" {
		t.Errorf("Tail = %q", got)
	}
}
