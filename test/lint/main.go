// Command lint checks the written rules of CONTRIBUTING.md that a machine can
// see and that no public linter knows:
//
//	go run ./test/lint ./...              # what `make lint` runs
//	go run ./test/lint -stats ./internal/...  # how many returned errors say what was being done
//
// `go vet` runs the analyzers, so their results are cached like those of a build.
package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"golang.org/x/tools/go/analysis"
	"golang.org/x/tools/go/analysis/unitchecker"
)

// analyzers are all the rules, each in the file of its name.
var analyzers = []*analysis.Analyzer{queryloop, logorreturn, boolflag, processclock}

func main() {
	args := os.Args[1:]
	if calledByVet(args) {
		unitchecker.Main(analyzers...)
		return
	}
	if len(args) > 0 && args[0] == "-stats" {
		if err := printStats(os.Stdout, args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(vet(args))
}

// calledByVet reports whether the arguments are those of `go vet`: it asks for
// the version and the flags, and then names a file that describes a package.
func calledByVet(args []string) bool {
	if len(args) == 0 {
		return false
	}
	last := args[len(args)-1]
	return last == "-flags" || strings.HasPrefix(last, "-V") || strings.HasSuffix(last, ".cfg")
}

// vet runs `go vet` with this program as its tool and returns the exit code.
func vet(packages []string) int {
	self, err := os.Executable()
	if err != nil {
		fmt.Fprintln(os.Stderr, "find this program:", err)
		return 1
	}
	c := exec.Command("go", append([]string{"vet", "-vettool=" + self}, packages...)...) //nolint:gosec // a tool of developers
	c.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-trimpath")                   // as the programs are built
	c.Stdout, c.Stderr = os.Stdout, os.Stderr
	err = c.Run()
	if failed := (*exec.ExitError)(nil); errors.As(err, &failed) {
		return failed.ExitCode()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "run go vet:", err)
		return 1
	}
	return 0
}
