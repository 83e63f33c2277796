// Command fuzz runs every fuzz target of the module in turn, for as long, or with as
// many inputs, as -time says each, and prints a table. It fails when a target fails; Go keeps the input
// that broke it in testdata/fuzz beside the target, from where every later test
// run tries it again.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

func main() {
	each := flag.String("time", "10s", "how long each target runs, or how many inputs it tries, as 10s or 1000x")
	only := flag.String("run", "", "a regular expression of the targets to run, as package.FuzzName")
	parallel := flag.Int("parallel", 2, "workers of each target")
	blind := flag.Bool("blind", false, "lead no target by coverage: for a short look, since it needs the whole module built anew")
	flag.Parse()
	if err := run(*each, *only, *parallel, *blind); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// ranOut reports whether a target failed at nothing but the end of its time: Go
// takes a worker that is still busy then for a failure.
func ranOut(out string) bool {
	return strings.Contains(out, "context deadline exceeded") && !strings.Contains(out, "Failing input")
}

// target is one fuzz function.
type target struct {
	dir, name string
	// blind says that it runs without coverage to guide it: as it was asked for, or
	// where the database library is linked in, because looking at the counters of its
	// code after each input costs a thousand times what the input does.
	blind bool
}

func (t target) String() string { return strings.TrimPrefix(t.dir, "./") + "." + t.name }

func run(each, only string, parallel int, blind bool) error {
	wanted, err := regexp.Compile(only)
	if err != nil {
		return err
	}
	targets, err := find(".", blind)
	if err != nil {
		return err
	}
	binaries, err := os.MkdirTemp("", "fuzz-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(binaries) }()
	fmt.Printf("%-52s %-7s %12s %10s  %s\n", "target", "mode", "inputs", "a second", "result")
	var failed []string
	for _, t := range targets {
		if !wanted.MatchString(t.String()) {
			continue
		}
		out, err := t.run(binaries, each, parallel)
		if ranOut(out) {
			err = nil
		}
		t.print(out, err)
		if err != nil {
			failed = append(failed, t.String())
			fmt.Println(out)
		}
	}
	if len(failed) > 0 {
		return errors.New("failed: " + strings.Join(failed, ", "))
	}
	return nil
}

var declared = regexp.MustCompile(`(?m)^func (Fuzz\w+)\(\w+ \*testing\.F\)`)

// find returns the targets beneath root, by package and name.
func find(root string, blind bool) ([]target, error) {
	files, err := filepath.Glob(filepath.Join(root, "internal", "*", "*_test.go"))
	for _, deeper := range []string{"internal/*/*/*_test.go", "internal/*/*/*/*_test.go"} {
		more, globErr := filepath.Glob(filepath.Join(root, deeper))
		files, err = append(files, more...), errors.Join(err, globErr)
	}
	var targets []target
	heavy := map[string]bool{}
	for _, file := range files {
		text, readErr := os.ReadFile(file) //nolint:gosec // a source file of the module
		err = errors.Join(err, readErr)
		dir := "./" + filepath.ToSlash(filepath.Dir(file))
		for _, m := range declared.FindAllSubmatch(text, -1) {
			if _, known := heavy[dir]; !known {
				heavy[dir] = blind || linksDatabase(dir)
			}
			targets = append(targets, target{dir, string(m[1]), heavy[dir]})
		}
	}
	slices.SortFunc(targets, func(a, b target) int { return strings.Compare(a.String(), b.String()) })
	return targets, err
}

// linksDatabase reports whether the tests of a package link SQLite in.
func linksDatabase(dir string) bool {
	out, err := exec.Command("go", "list", "-deps", "-test", dir).Output() //nolint:gosec // a directory of the module
	return err != nil || bytes.Contains(out, []byte("modernc.org/sqlite"))
}

// run returns what the target printed, and an error when it failed.
func (t target) run(binaries, each string, parallel int) (string, error) {
	if !t.blind {
		return command("", "go", "test", "-run", "^$", "-fuzz", "^"+t.name+"$", "-fuzztime", each, "-parallel", strconv.Itoa(parallel), t.dir)
	}
	binary := filepath.Join(binaries, strings.ReplaceAll(t.dir, "/", "_")+".test")
	if _, err := os.Stat(binary); err != nil {
		if out, err := command("", "go", "test", "-c", "-o", binary, t.dir); err != nil {
			return out, err
		}
	}
	return command(t.dir, binary, "-test.run", "^$", "-test.fuzz", "^"+t.name+"$", "-test.fuzztime", each,
		"-test.parallel", strconv.Itoa(parallel), "-test.fuzzcachedir", filepath.Join(binaries, "inputs"))
}

func command(dir, name string, args ...string) (string, error) {
	c := exec.Command(name, args...) //nolint:gosec // the Go command, or a test binary it made
	c.Dir = dir
	out, err := c.CombinedOutput()
	return string(out), err
}

// progress is what Go prints every few seconds; the time is that of fuzzing alone.
var progress = regexp.MustCompile(`elapsed: ([0-9hms]+), execs: (\d+)`)

func (t target) print(out string, err error) {
	n, rate := 0, 0.0
	if m := progress.FindAllStringSubmatch(out, -1); m != nil {
		last := m[len(m)-1]
		n, _ = strconv.Atoi(last[2])
		if elapsed, parseErr := time.ParseDuration(last[1]); parseErr == nil && elapsed > 0 {
			rate = float64(n) / elapsed.Seconds()
		}
	}
	mode, result := "guided", "ok"
	if t.blind {
		mode = "blind"
	}
	switch {
	case err != nil:
		result = "FAILED"
	case n == 0: // the inputs that earlier runs kept took all the time
		result = "ok, known inputs only"
	}
	fmt.Printf("%-52s %-7s %12d %10.0f  %s\n", t, mode, n, rate, result)
}
