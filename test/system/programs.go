//go:build unix

package system

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"usersync/internal/credit"
	"usersync/internal/tenant"
	"usersync/test/services"
)

// Programs is a directory of programs of this module that were built.
type Programs string

// Build builds the named commands of the folder cmd into a directory, as
// `make build` does: without the race detector, whatever the caller is built
// with.
func Build(ctx context.Context, dir string, commands ...string) (Programs, error) {
	args := []string{"build", "-trimpath", "-o", dir + string(filepath.Separator)}
	for _, c := range commands {
		args = append(args, "usersync/cmd/"+c)
	}
	build := exec.CommandContext(ctx, "go", args...)
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s: %w\n%s", strings.Join(commands, ", "), err, out)
	}
	return Programs(dir), nil
}

// Path returns the file of a program.
func (p Programs) Path(name string) string { return filepath.Join(string(p), name) }

// Output runs `usersync` with settings and arguments and returns what it prints.
func (p Programs) Output(ctx context.Context, settings []string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, p.Path("usersync"), args...)
	cmd.Env = services.Environment(settings...)
	var text, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &text, &complaint
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("usersync %s: %w\n%s%s", strings.Join(args, " "), err, &text, &complaint)
	}
	return text.Bytes(), nil
}

// Command runs `usersync` with settings and arguments and decodes what it prints
// into out.
func (p Programs) Command(ctx context.Context, settings []string, out any, args ...string) error {
	text, err := p.Output(ctx, settings, args...)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, out); err != nil {
		return fmt.Errorf("usersync %s printed no JSON: %w\n%s", strings.Join(args, " "), err, text)
	}
	return nil
}

// Account is an organization and a key of it for everything.
type Account struct{ Organization, Key string }

// NewAccount makes an organization and its key by the command line, which the
// service need not run for. Its settings and limits are the defaults.
func (p Programs) NewAccount(ctx context.Context, settings []string, name string) (Account, error) {
	var made tenant.Organization
	if err := p.Command(ctx, settings, &made, "organizations", "create", name); err != nil {
		return Account{}, err
	}
	var key struct {
		Key string `json:"key"`
	}
	if err := p.Command(ctx, settings, &key, "keys", "create", made.ID); err != nil {
		return Account{}, err
	}
	return Account{Organization: made.ID, Key: key.Key}, nil
}

// TopUp adds credits to an organization by the command line.
func (p Programs) TopUp(ctx context.Context, settings []string, organization string, credits int) error {
	var entry credit.Entry
	return p.Command(ctx, settings, &entry, "credits", "add", organization, strconv.Itoa(credits), "--reference", "test")
}
