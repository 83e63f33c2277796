//go:build unix

package e2e

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

var (
	long     = flag.Bool("long", false, "every fault and the large sizes")
	requests = flag.Int("requests", 0, "requests that the embedded test sends; 0: 1000, with -long 5000")
	kills    = flag.Int("kills", 0, "how often the embedded test kills the process under load; 0: 2, with -long 5")
	faulty   = flag.String("faults", "", "only the faults of the deployed test whose names match this pattern")
	logs     = flag.String("logs", "", "keep the logs of the programs, in full, in this directory")
	rate     = flag.Int("rate", 20, "calls a second that the deployed test sends, for 3 users each on average")
)

// sized returns the value of a size that is not set.
func sized(set, short, full int) int {
	switch {
	case set > 0:
		return set
	case *long:
		return full
	}
	return short
}

// programs is the directory of the built programs.
var programs string

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "usersync-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	programs = dir
	// Without the race detector, whatever this test itself is built with: the
	// programs run as they are shipped.
	build := exec.Command("go", "build", "-o", dir+string(filepath.Separator), "usersync/cmd/usersync", "usersync/cmd/api", "usersync/cmd/worker")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	build.Stdout, build.Stderr = os.Stderr, os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "build the programs:", err)
		return 1
	}
	return m.Run()
}

// await waits until ok holds. When it does not within the time, the test ends
// with what was waited for and what detail, if any, then says.
func await(t *testing.T, within time.Duration, what string, ok func() bool, detail func() string) {
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

// must ends the test on an error.
func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
