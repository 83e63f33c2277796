//go:build unix

// Package system runs the service from outside, for tests that end parts of it
// the hard way and for measurements: it builds the programs, starts them as
// processes beside a PostgreSQL and a Redis of their own, makes organizations,
// calls the API and receives webhooks. What takes no *testing.T serves the
// commands that measure.
package system

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"
)

// Logs is a directory in which the logs of the programs are kept, in full; empty
// is nowhere. It is set before a program is made.
var Logs string

// programs are those that Main has built.
var programs Programs

// Main builds the named commands, runs the tests of a package and returns the
// exit status.
func Main(m *testing.M, commands ...string) int {
	dir, err := os.MkdirTemp("", "usersync-system-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if programs, err = Build(context.Background(), dir, commands...); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// Await waits until ok holds. When it does not within the time, the test ends
// with what was waited for and what detail, if any, then says.
func Await(t *testing.T, within time.Duration, what string, ok func() bool, detail func() string) {
	t.Helper()
	deadline := time.Now().Add(within)
	for pause := time.Millisecond; !ok(); pause = min(2*pause, 100*time.Millisecond) {
		if time.Now().After(deadline) {
			more := ""
			if detail != nil {
				more = "\n" + detail()
			}
			t.Fatalf("after %s still not: %s%s", within, what, more)
		}
		time.Sleep(pause)
	}
}

// Must ends the test on an error.
func Must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
