//go:build unix

package main

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"usersync/test/services"
)

// asMain makes this test binary be the command itself.
const asMain = "RUN_TEST_AS_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(asMain) != "" {
		main()
	}
	os.Exit(m.Run())
}

// given are variables with which no server has to be started.
var given = []string{databaseVariable + "=postgres://db.example.com/given", redisVariable + "=redis://cache.example.com/0"}

// itself returns this program as a command, with only env added to a plain
// environment.
func itself(t *testing.T, env []string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
	cmd.Env = append([]string{asMain + "=1", "PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir()}, env...)
	return cmd
}

// outcome runs cmd and returns its exit status and what it wrote.
func outcome(t *testing.T, cmd *exec.Cmd) (status int, stdout, stderr string) {
	t.Helper()
	var out, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaint
	err := cmd.Run()
	if _, exited := errors.AsType[*exec.ExitError](err); err != nil && !exited {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), complaint.String()
}

func TestRunPassesTheExitStatusThrough(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		script string
		want   int
	}{
		{"exit 0", 0},
		{"exit 7", 7},
		{"kill -KILL $$", 128 + 9},
	} {
		if got, _, _ := outcome(t, itself(t, given, "--", "sh", "-c", c.script)); got != c.want {
			t.Errorf("status of %q = %d, want %d", c.script, got, c.want)
		}
	}
}

func TestRunKeepsTheServersItIsGiven(t *testing.T) {
	t.Parallel()
	_, stdout, stderr := outcome(t, itself(t, given, "--", "sh", "-c", "echo $TEST_DATABASE_URL $TEST_REDIS_URL"))
	if want := "postgres://db.example.com/given redis://cache.example.com/0\n"; stdout != want {
		t.Errorf("the command saw %q, want %q", stdout, want)
	}
	if want := "services: PostgreSQL from TEST_DATABASE_URL, Redis from TEST_REDIS_URL\n"; stderr != want {
		t.Errorf("message = %q, want %q", stderr, want)
	}
}

func TestRunStartsServersForTheCommandAndStopsThem(t *testing.T) {
	t.Parallel()
	bindir, err := services.FindPostgres()
	if err != nil {
		t.Fatal(err)
	}
	psql := filepath.Join(bindir, "psql")
	status, stdout, stderr := outcome(t, itself(t, nil, "-durable", "--",
		"sh", "-c", psql+` -XAtc 'SHOW fsync; SHOW data_directory' "$TEST_DATABASE_URL"; echo $TEST_REDIS_URL`))
	lines := strings.Split(strings.TrimSpace(stdout), "\n")
	if status != 0 || len(lines) != 3 || lines[0] != "on" || !strings.HasPrefix(lines[2], "redis://127.0.0.1:") {
		t.Fatalf("status %d, output %q, messages %q", status, stdout, stderr)
	}
	if _, err := os.Stat(lines[1]); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the data directory %s is still there: %v", lines[1], err)
	}
	if strings.Count(stderr, "\n") != 1 {
		t.Errorf("messages = %q, want one line", stderr)
	}
}

// startUntilReady starts a command, waits until it writes that it is ready, and
// returns what it writes from then on.
func startUntilReady(t *testing.T, cmd *exec.Cmd) *bufio.Reader {
	t.Helper()
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(stdout)
	if line, err := lines.ReadString('\n'); line != "ready\n" {
		t.Fatalf("first line = %q, %v", line, err)
	}
	return lines
}

func TestRunForwardsSignalsToAllTheCommandStarted(t *testing.T) {
	t.Parallel()
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		// The inner shell is what a test binary is to go test.
		const script = `trap : INT TERM; sh -c 'trap "echo inner; exit 0" INT TERM; echo ready; while :; do sleep 0.01; done'; exit 3`
		cmd := itself(t, given, "--", "sh", "-c", script)
		lines := startUntilReady(t, cmd)
		if err := cmd.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
		rest, err := io.ReadAll(lines)
		if err != nil || string(rest) != "inner\n" {
			t.Errorf("%s: output after it = %q, %v, want inner", sig, rest, err)
		}
		_ = cmd.Wait() // the status tells
		if got := cmd.ProcessState.ExitCode(); got != 3 {
			t.Errorf("%s: status = %d, want 3", sig, got)
		}
	}
}

// make and build servers kill `go run`, which tells its program nothing.
func TestRunEndsTheCommandWhenItsParentIsKilled(t *testing.T) {
	t.Parallel()
	inner := itself(t, given, "--", "sh", "-c", `trap "echo ended; exit 0" TERM; echo ready; while :; do sleep 0.01; done`)
	parent := exec.CommandContext(t.Context(), "sh", append([]string{"-c", `"$@"; :`, "sh"}, inner.Args...)...)
	parent.Env = inner.Env
	lines := startUntilReady(t, parent)
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if rest, err := io.ReadAll(lines); string(rest) != "ended\n" {
		t.Errorf("output after the parent's death = %q, %v, want ended", rest, err)
	}
	_ = parent.Wait() // killed
}

func TestRunWithoutACommandIsWrongUsage(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{}, {"--"}, {"-cc", "--"}, {"-nonsense", "--", "true"}} {
		if got, _, stderr := outcome(t, itself(t, given, args...)); got != exitUsage || !strings.Contains(stderr, "usage:") {
			t.Errorf("%v: status = %d, messages = %q", args, got, stderr)
		}
	}
}

func TestRunReportsACommandThatDoesNotExist(t *testing.T) {
	t.Parallel()
	got, _, stderr := outcome(t, itself(t, given, "--", "no-such-command"))
	if got != exitFailure || !strings.Contains(stderr, "no-such-command") {
		t.Errorf("status = %d, messages = %q", got, stderr)
	}
}

// bare returns a folder to use as PATH: nothing is installed but what the test
// puts there.
func bare(t *testing.T, scripts map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	env, err := exec.LookPath("env")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(env, filepath.Join(dir, "env")); err != nil {
		t.Fatal(err)
	}
	for name, script := range scripts {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+script+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestRunSaysWhatToInstallWhereItMayNot(t *testing.T) {
	t.Parallel()
	cmd := itself(t, append([]string{"PATH=" + bare(t, nil)}, given[0]), "-cc", "--", "/bin/echo", "ran")
	status, stdout, stderr := outcome(t, cmd)
	if status != exitFailure || stdout != "" {
		t.Errorf("status = %d, output %q; want a failure before the command runs", status, stdout)
	}
	if want := "sudo apt-get update && sudo apt-get install redis-server gcc libc6-dev\n"; !strings.Contains(stderr, want) {
		t.Errorf("messages = %q, want them to hold %q", stderr, want)
	}
}

// fakeApt stands for the package manager: it writes down how it is called and
// "installs" Redis by a link.
func fakeApt(t *testing.T, status string) string {
	t.Helper()
	redis, err := services.FindRedis()
	if err != nil {
		t.Fatal(err)
	}
	return `dir=${0%/*}
echo "$DEBIAN_FRONTEND $*" >> $dir/calls
case "$*" in *install*) /bin/ln -s ` + redis + ` $dir/redis-server;; esac
exit ` + status
}

func TestRunInstallsWhatIsMissing(t *testing.T) {
	t.Parallel()
	for name, status := range map[string]string{"apt succeeds": "0", "apt fails after the binaries are there": "100"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := bare(t, map[string]string{"apt-get": fakeApt(t, status), "sudo": `shift; exec "$@"`, "true": ""})
			cmd := itself(t, append([]string{"PATH=" + path}, given[0]), "--", "/bin/sh", "-c", "echo $TEST_REDIS_URL")
			got, stdout, stderr := outcome(t, cmd)
			if got != 0 || !strings.HasPrefix(stdout, "redis://127.0.0.1:") {
				t.Fatalf("status = %d, output %q, messages %q", got, stdout, stderr)
			}
			calls, err := os.ReadFile(filepath.Join(path, "calls"))
			if err != nil {
				t.Fatal(err)
			}
			want := "noninteractive -q -o DPkg::Lock::Timeout=300 update\n" +
				"noninteractive -q -o DPkg::Lock::Timeout=300 install -y --no-install-recommends redis-server\n"
			if string(calls) != want {
				t.Errorf("apt-get was called with\n%swant\n%s", calls, want)
			}
		})
	}
}

func TestRunFailsWhenInstallingDoesNotHelp(t *testing.T) {
	t.Parallel()
	path := bare(t, map[string]string{"apt-get": "exit 100", "sudo": `shift; exec "$@"`, "true": ""})
	cmd := itself(t, append([]string{"PATH=" + path}, given[0]), "--", "/bin/echo", "ran")
	got, stdout, stderr := outcome(t, cmd)
	if got != exitFailure || stdout != "" || !strings.Contains(stderr, "apt-get install: exit status 100") {
		t.Errorf("status = %d, output %q, messages %q", got, stdout, stderr)
	}
}
