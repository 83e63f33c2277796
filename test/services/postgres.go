//go:build unix

package services

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// postgresName is the superuser and the database that every server has.
const postgresName = "usersync"

// PostgresOptions says how a PostgreSQL server is started; the zero value is
// right for tests.
type PostgresOptions struct {
	// Durable keeps what a crash of the machine needs (fsync, full pages,
	// synchronous commit), as in production. Without it commits are quicker and
	// a Kill may lose the last of them.
	Durable bool
	// Dir is the folder in which the server makes its own one; empty is the
	// system's folder for temporary files. For root it must be open to all
	// users, because PostgreSQL refuses to run as root.
	Dir string
	// Settings are server settings that go before the ones made here.
	Settings map[string]string
}

// Postgres is a private PostgreSQL server.
type Postgres struct {
	server
	bindir  string
	account *syscall.Credential // nil is the user of this process
	options PostgresOptions
}

// StartPostgres makes a database cluster, starts a server on it and creates the
// database that URL names. It returns ErrNoPostgres when PostgreSQL is not
// installed. The caller calls Stop.
func StartPostgres(ctx context.Context, options PostgresOptions) (*Postgres, error) {
	bindir, err := FindPostgres()
	if err != nil {
		return nil, err
	}
	account, err := unprivileged()
	if err != nil {
		return nil, err
	}
	dir, err := makeDir(options.Dir, account)
	if err != nil {
		return nil, err
	}
	p := &Postgres{bindir: bindir, account: account, options: options}
	p.server = server{
		name: "PostgreSQL", dir: dir,
		command: p.command, ready: p.ready, cleanUp: p.removeSharedMemory,
		endSignal:     syscall.SIGINT,  // "fast shutdown" in the manual: ends clients, writes a checkpoint
		discardSignal: syscall.SIGQUIT, // "immediate shutdown": no checkpoint
	}
	if err := p.create(ctx); err != nil {
		return nil, errors.Join(err, p.Stop())
	}
	return p, nil
}

// URL returns the address of the database, for a superuser without password.
func (p *Postgres) URL() string { return p.url(p.Addr(), postgresName) }

// StopImmediate ends the server by PostgreSQL's immediate shutdown: clients are
// cut off, no checkpoint is written, the next Start recovers from the log. The
// data stay.
func (p *Postgres) StopImmediate() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.end(syscall.SIGQUIT)
}

func (p *Postgres) url(addr, database string) string {
	return fmt.Sprintf("postgres://%s@%s/%s?sslmode=disable", postgresName, addr, database)
}

func (p *Postgres) dataDir() string { return filepath.Join(p.dir, "data") }

func (p *Postgres) create(ctx context.Context) error {
	if err := p.initdb(ctx); err != nil {
		return err
	}
	if err := p.startNew(ctx); err != nil {
		return err
	}
	if _, err := p.psql(ctx, "CREATE DATABASE "+postgresName); err != nil {
		return err
	}
	if !p.options.Durable {
		return nil
	}
	return p.layLog(ctx)
}

// logSegments is how many files of the log, 16 MiB each, a durable server has to use again.
const logSegments = 64

// layLog gives a new server what one that has worked for a while has: files of the log to
// use again. Without them it fills each new one with zeros when it comes to it, and all
// commits wait meanwhile: some took 8 to 57 ms that else take 2.
func (p *Postgres) layLog(ctx context.Context) error {
	_, err := p.psql(ctx, fmt.Sprintf(`DO $$ BEGIN FOR i IN 1..%d LOOP
PERFORM pg_logical_emit_message(false, 'segment', ''); PERFORM pg_switch_wal(); END LOOP; END $$`, logSegments))
	if err != nil {
		return fmt.Errorf("lay the log: %w", err)
	}
	_, err = p.psql(ctx, "CHECKPOINT")
	return err
}

// initdb makes the cluster. Whoever can reach the loopback address is trusted;
// nobody else is let in, the socket file included.
func (p *Postgres) initdb(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, filepath.Join(p.bindir, "initdb"),
		"--pgdata="+p.dataDir(), "--username="+postgresName,
		"--auth-host=trust", "--auth-local=reject",
		"--encoding=UTF8", "--locale=C", "--no-sync")
	p.asServer(cmd)
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	process, err := StartProcess("initdb", cmd, "")
	if err == nil {
		err = process.Wait()
	}
	if err != nil {
		return fmt.Errorf("make a PostgreSQL cluster in %s: %w\n%s", p.dir, err, lastLines(out.String(), failureLines))
	}
	return nil
}

func (p *Postgres) command() *exec.Cmd {
	cmd := exec.Command(filepath.Join(p.bindir, "postgres"), "-D", p.dataDir())
	settings := p.settings()
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		cmd.Args = append(cmd.Args, "-c", name+"="+settings[name])
	}
	p.asServer(cmd)
	return cmd
}

func (p *Postgres) settings() map[string]string {
	settings := map[string]string{
		"port":                    p.port(),
		"listen_addresses":        "127.0.0.1",
		"unix_socket_directories": p.dir,
		"max_connections":         "300",
		// Files in the data directory: nothing is left in /dev/shm after
		// a Kill, and the 64 MiB a container has there do not matter.
		"dynamic_shared_memory_type": "mmap",
	}
	if p.options.Durable {
		settings["min_wal_size"] = "1GB" // as in docker-compose.yml
		settings["max_wal_size"] = "4GB"
	} else {
		settings["fsync"] = "off"
		settings["synchronous_commit"] = "off"
		settings["full_page_writes"] = "off"
	}
	if p.hasLibrary("pg_stat_statements") {
		settings["shared_preload_libraries"] = "pg_stat_statements"
	}
	maps.Copy(settings, p.options.Settings)
	return settings
}

// hasLibrary reports whether the server can load a library: it would not start
// with one that is missing.
func (p *Postgres) hasLibrary(name string) bool {
	libdir := filepath.Join(p.bindir, "..", "lib")
	if out, err := exec.Command(filepath.Join(p.bindir, "pg_config"), "--pkglibdir").Output(); err == nil {
		libdir = strings.TrimSpace(string(out))
	}
	found, err := filepath.Glob(filepath.Join(libdir, name+".*"))
	return err == nil && len(found) > 0
}

// ready asks which data directory answers, because another server may have won
// the port.
func (p *Postgres) ready(ctx context.Context, _ int) error {
	dir, err := p.psql(ctx, "SHOW data_directory")
	if err != nil {
		return err
	}
	if dir != p.dataDir() {
		return fmt.Errorf("another server answers, from %s", dir)
	}
	return nil
}

// psql runs one statement in the database postgres and returns what it prints.
func (p *Postgres) psql(ctx context.Context, statement string) (string, error) {
	cmd := exec.CommandContext(ctx, filepath.Join(p.bindir, "psql"),
		"--no-psqlrc", "--no-password", "--quiet", "--tuples-only", "--no-align",
		"--command="+statement, p.url(p.listen, "postgres"))
	cmd.Env = append(plainEnv(), "PGCONNECT_TIMEOUT=2")
	var out, complaint strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &complaint
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("psql: %w: %s", err, strings.TrimSpace(complaint.String()))
	}
	return strings.TrimSpace(out.String()), nil
}

// asServer gives a command the user, folder and environment of the server.
func (p *Postgres) asServer(cmd *exec.Cmd) {
	cmd.Dir = p.dir
	cmd.Env = plainEnv()
	if p.account != nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: p.account}
	}
}

// removeSharedMemory removes the small System V segment that a killed server
// leaves in the kernel, which has room for a few thousand of them. The seventh
// line of postmaster.pid names it: key and id. A server that ended in good
// order has removed both.
func (p *Postgres) removeSharedMemory() {
	text, err := os.ReadFile(filepath.Join(p.dataDir(), "postmaster.pid"))
	if err != nil {
		return
	}
	lines := strings.Split(string(text), "\n")
	if len(lines) < 7 {
		return
	}
	fields := strings.Fields(lines[6])
	if len(fields) != 2 {
		return
	}
	_ = exec.Command("ipcrm", "-m", fields[1]).Run() // a tidy-up: nothing depends on it
}

// unprivileged returns the user a server runs as when this process is root:
// postgres, else nobody. It returns nil for any other user than root.
func unprivileged() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		if credential, err := credentialOf(name); err == nil {
			return credential, nil
		}
	}
	return nil, errors.New("PostgreSQL refuses to run as root, and there is neither a user postgres nor a user nobody")
}

func credentialOf(name string) (*syscall.Credential, error) {
	account, err := user.Lookup(name)
	if err != nil {
		return nil, fmt.Errorf("find the user %s: %w", name, err)
	}
	uid, err := strconv.ParseUint(account.Uid, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("read the id of the user %s: %w", name, err)
	}
	gid, err := strconv.ParseUint(account.Gid, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("read the group of the user %s: %w", name, err)
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}

// makeDir makes a server's own folder, owned by account.
func makeDir(parent string, account *syscall.Credential) (string, error) {
	if parent == "" {
		parent = os.TempDir()
		if account != nil && !openToAll(parent) {
			parent = "/tmp" // root's TMPDIR may be closed to everyone else
		}
	}
	parent, err := filepath.Abs(parent)
	if err != nil {
		return "", fmt.Errorf("find the folder for servers: %w", err)
	}
	dir, err := os.MkdirTemp(parent, "usersync-")
	if err != nil {
		return "", fmt.Errorf("make a folder for a server: %w", err)
	}
	if account == nil {
		return dir, nil
	}
	if err := os.Chown(dir, int(account.Uid), int(account.Gid)); err != nil {
		return "", errors.Join(fmt.Errorf("give a folder to the server's user: %w", err), os.RemoveAll(dir))
	}
	return dir, nil
}

// openToAll reports whether every user may pass through dir and its parents.
func openToAll(dir string) bool {
	for ; ; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		if err != nil || info.Mode()&0o001 == 0 {
			return false
		}
		if dir == filepath.Dir(dir) {
			return true
		}
	}
}

// plainEnv is the environment without what changes a PostgreSQL program's
// behaviour: the PG… variables and the language, whose messages are read here.
func plainEnv() []string {
	env := slices.DeleteFunc(os.Environ(), func(pair string) bool {
		return strings.HasPrefix(pair, "PG") || strings.HasPrefix(pair, "LC_") || strings.HasPrefix(pair, "LANG")
	})
	return append(env, "LC_ALL=C")
}
