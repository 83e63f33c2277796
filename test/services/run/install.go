//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"usersync/test/services"
)

// need is a program that must be on the machine.
type need struct {
	// name is for messages.
	name string
	// packages are what Debian and Ubuntu call it.
	packages []string
	// check returns nil when the program is there.
	check func() error
}

var (
	needPostgres = need{
		name:     "PostgreSQL (or set " + databaseVariable + ")",
		packages: []string{"postgresql"},
		check:    func() error { _, err := services.FindPostgres(); return err },
	}
	needRedis = need{
		name:     "Redis (or set " + redisVariable + ")",
		packages: []string{"redis-server"},
		check:    func() error { _, err := services.FindRedis(); return err },
	}
	needBrowser = need{
		name:     "Chromium",
		packages: []string{"chromium"},
		check:    func() error { _, err := services.FindChromium(); return err },
	}
	needCompiler = need{
		name:     "a C compiler with the C library's headers",
		packages: []string{"gcc", "libc6-dev"},
		check:    compile,
	}
)

// ensure installs with apt-get what of needs is missing. Where it may not, or
// where that does not help, the error says what to install by hand.
func ensure(ctx context.Context, needs []need) error {
	missing := absent(needs)
	if len(missing) == 0 {
		return nil
	}
	prefix, err := aptPrefix(ctx)
	if err != nil {
		return advice(missing, err)
	}
	err = install(ctx, prefix, packagesOf(missing))
	// apt-get may fail after the binaries are in place, when the service that
	// comes with a package does not start; only the binaries count here.
	if missing = absent(missing); len(missing) > 0 {
		return advice(missing, err)
	}
	return nil
}

func absent(needs []need) []need {
	var missing []need
	for _, n := range needs {
		if n.check() != nil {
			missing = append(missing, n)
		}
	}
	return missing
}

func packagesOf(needs []need) []string {
	var packages []string
	for _, n := range needs {
		packages = append(packages, n.packages...)
	}
	return packages
}

// aptPrefix returns what goes before apt-get for the right to install: nothing
// for root, else sudo when it asks for no password.
func aptPrefix(ctx context.Context) ([]string, error) {
	if _, err := exec.LookPath("apt-get"); err != nil {
		return nil, errors.New("this machine has no apt-get")
	}
	if os.Geteuid() == 0 {
		return nil, nil
	}
	if err := exec.CommandContext(ctx, "sudo", "-n", "true").Run(); err != nil {
		return nil, errors.New("installing needs root, or sudo without a password")
	}
	return []string{"sudo", "-n"}, nil
}

func install(ctx context.Context, prefix, packages []string) error {
	say("installing %s with apt-get", strings.Join(packages, " "))
	if err := apt(ctx, prefix, "update"); err != nil {
		say("%v; trying with the package lists at hand", err)
	}
	return apt(ctx, prefix, append([]string{"install", "-y", "--no-install-recommends"}, packages...)...)
}

// apt runs apt-get without questions. It waits for another apt-get, as the one
// that a fresh machine runs by itself after its first start.
func apt(ctx context.Context, prefix []string, args ...string) error {
	line := append([]string{}, prefix...)
	line = append(line, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q", "-o", "DPkg::Lock::Timeout=300")
	line = append(line, args...)
	cmd := exec.CommandContext(ctx, line[0], line[1:]...)
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("apt-get %s: %w", args[0], err)
	}
	return nil
}

// advice is the error for what is still missing, and why it is.
func advice(missing []need, reason error) error {
	names := make([]string, len(missing))
	for i, n := range missing {
		names[i] = n.name
	}
	text := "missing: " + strings.Join(names, ", ")
	if reason != nil {
		text += "; " + reason.Error()
	}
	return fmt.Errorf("%s.\nOn Debian or Ubuntu:\n  sudo apt-get update && sudo apt-get install %s\nthen try again",
		text, strings.Join(packagesOf(missing), " "))
}

// compile builds and links a small program, as `go test -race` will have to:
// a compiler without the C library's headers is of no use.
func compile() error {
	out, err := exec.Command("go", "env", "CC").Output()
	if err != nil {
		return fmt.Errorf("go env CC: %w", err)
	}
	compiler := strings.Fields(string(out)) // may carry flags
	if len(compiler) == 0 {
		return errors.New("go env CC is empty")
	}
	dir, err := os.MkdirTemp("", "usersync-cc-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	compiler = append(compiler, "-x", "c", "-o", dir+"/a.out", "-", "-lpthread")
	cmd := exec.Command(compiler[0], compiler[1:]...)
	cmd.Stdin = strings.NewReader("#include <stdlib.h>\n#include <pthread.h>\nint main(void) { return 0; }\n")
	return cmd.Run()
}
