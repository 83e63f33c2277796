//go:build unix

package services

import (
	"context"
	"database/sql"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
)

// unanswered is how long a test waits for an answer that must not come.
const unanswered = 200 * time.Millisecond

func TestPostgresKeepsCommittedRowsThroughAKill(t *testing.T) {
	t.Parallel()
	p := startPostgres(t, PostgresOptions{Durable: true})
	db := open(t, p)
	exec1(t, db, "CREATE TABLE kept (n int)")
	exec1(t, db, "INSERT INTO kept VALUES (42)")
	url, pid := p.URL(), p.PID()

	if err := p.Kill(); err != nil {
		t.Fatal(err)
	}
	if p.PID() != 0 {
		t.Errorf("PID() = %d after Kill, want 0", p.PID())
	}
	if err := db.PingContext(t.Context()); err == nil {
		t.Error("a killed server answered")
	}
	if err := p.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if p.URL() != url {
		t.Errorf("URL() = %s after Start, want %s", p.URL(), url)
	}
	if p.PID() == pid {
		t.Error("the server has the process id of the killed one")
	}
	if got := query(t, db, "SELECT n FROM kept"); got != "42" {
		t.Errorf("row after Kill and Start = %q, want 42", got)
	}
	if err := p.Start(t.Context()); err == nil {
		t.Error("Start of a running server reported no error")
	}
}

// A fault may also come from outside, so that the server's children are not
// waited for by Kill.
func TestPostgresStartsAfterItsPostmasterAloneWasKilled(t *testing.T) {
	t.Parallel()
	p := startPostgres(t, PostgresOptions{})
	busy := make(chan error, 1)
	db := open(t, p)
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	go func() {
		// A backend that computes notices the death of its postmaster late.
		_, err := conn.ExecContext(t.Context(), "SELECT count(*) FROM generate_series(1, 5000000)")
		busy <- err
	}()
	waitFor(t, func() bool {
		return query(t, db, "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%series%' AND pid <> pg_backend_pid()") == "1"
	})
	if err := syscall.Kill(p.PID(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool { return p.PID() == 0 })
	if err := p.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	<-busy
	if got := query(t, db, "SELECT 1"); got != "1" {
		t.Errorf("SELECT 1 = %q", got)
	}
}

func TestPostgresKeepsRowsThroughRestartAndImmediateStop(t *testing.T) {
	t.Parallel()
	p := startPostgres(t, PostgresOptions{})
	db := open(t, p)
	exec1(t, db, "CREATE TABLE kept (n int)")
	exec1(t, db, "INSERT INTO kept VALUES (7)")
	if err := p.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := query(t, db, "SELECT n FROM kept"); got != "7" {
		t.Errorf("row after Restart = %q, want 7", got)
	}
	exec1(t, db, "CHECKPOINT")
	if err := p.StopImmediate(); err != nil {
		t.Fatal(err)
	}
	if err := p.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := query(t, db, "SELECT n FROM kept"); got != "7" {
		t.Errorf("row after StopImmediate = %q, want 7", got)
	}
}

func TestPausedPostgresAnswersNobodyUntilResumed(t *testing.T) {
	t.Parallel()
	p := startPostgres(t, PostgresOptions{})
	db := open(t, p)
	exec1(t, db, "SELECT 1") // a backend exists, and must stand still too
	if err := p.Pause(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), unanswered)
	defer cancel()
	if err := db.PingContext(ctx); err == nil {
		t.Error("a paused server answered on an open connection")
	}
	if answersNewConnection(t, p) {
		t.Error("a paused server answered on a new connection")
	}
	if err := p.Resume(); err != nil {
		t.Fatal(err)
	}
	if got := query(t, db, "SELECT 1"); got != "1" {
		t.Errorf("SELECT 1 = %q", got)
	}
}

func TestPausedServersCanBeKilledAndStopped(t *testing.T) {
	t.Parallel()
	p := startPostgres(t, PostgresOptions{})
	if err := errors.Join(p.Pause(), p.Kill(), p.Start(t.Context()), p.Pause(), p.Stop()); err != nil {
		t.Error(err)
	}
	r := startRedis(t, RedisOptions{})
	if err := errors.Join(r.Pause(), r.Kill(), r.Start(t.Context()), r.Pause(), r.Stop()); err != nil {
		t.Error(err)
	}
}

func TestPostgresSettings(t *testing.T) {
	t.Parallel()
	want := func(t *testing.T, p *Postgres, settings map[string]string) {
		t.Helper()
		db := open(t, p)
		for name, value := range settings {
			if got := query(t, db, "SHOW "+name); got != value {
				t.Errorf("%s = %q, want %q", name, got, value)
			}
		}
	}
	t.Run("quick unless durable", func(t *testing.T) {
		t.Parallel()
		p := startPostgres(t, PostgresOptions{})
		want(t, p, map[string]string{
			"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off",
			"listen_addresses": "127.0.0.1", "max_connections": "300",
			"server_encoding": "UTF8", "lc_collate": "C",
		})
	})
	t.Run("durable, and the caller's go first", func(t *testing.T) {
		t.Parallel()
		p := startPostgres(t, PostgresOptions{Durable: true, Settings: map[string]string{"max_connections": "25"}})
		want(t, p, map[string]string{
			"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on", "max_connections": "25",
		})
	})
}

func TestStopLeavesNothing(t *testing.T) {
	t.Parallel()
	p := startPostgres(t, PostgresOptions{})
	backend := query(t, open(t, p), "SELECT pg_backend_pid()")
	r := startRedis(t, RedisOptions{})
	pids := []int{p.PID(), r.PID()}
	n, err := strconv.Atoi(backend)
	if err != nil {
		t.Fatal(err)
	}
	pids = append(pids, n)
	if err := errors.Join(p.Stop(), r.Stop(), p.Stop(), r.Stop()); err != nil {
		t.Error(err)
	}
	for _, pid := range pids {
		if isAlive(t, pid) {
			t.Errorf("process %d outlived Stop", pid)
		}
	}
	for _, dir := range []string{p.dir, r.dir} {
		if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s outlived Stop: %v", dir, err)
		}
	}
}

func TestAFailedStartShowsTheLogAndLeavesNothing(t *testing.T) {
	t.Parallel()
	dir := openDir(t)
	_, err := StartPostgres(t.Context(), PostgresOptions{Dir: dir, Settings: map[string]string{"no_such_setting": "1"}})
	if err == nil || !strings.Contains(err.Error(), "no_such_setting") {
		t.Errorf("error = %v, want the server's words about no_such_setting", err)
	}
	left, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left in the folder: %v, %v", left, err)
	}
}

func TestTerminatedServersTakeNobodyUntilTheyAreRestarted(t *testing.T) {
	t.Parallel()
	p := startPostgres(t, PostgresOptions{})
	db := open(t, p)
	db.SetMaxIdleConns(-1) // each ping needs a new connection
	exec1(t, db, "CREATE TABLE kept (n int)")
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := p.Terminate(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool { return db.PingContext(t.Context()) != nil })
	if _, err := conn.ExecContext(t.Context(), "INSERT INTO kept VALUES (42)"); err != nil {
		t.Errorf("a connection from before was not served: %v", err)
	}
	if err := p.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := query(t, db, "SELECT n FROM kept"); got != "42" {
		t.Errorf("row after Terminate and Restart = %q, want 42", got)
	}

	r := startRedis(t, RedisOptions{})
	if n, err := r.Clients(t.Context()); n != 1 || err != nil {
		t.Errorf("%d connections, %v; want the one that asks", n, err)
	}
	if err := r.Terminate(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool { return r.PID() == 0 })
	if err := r.Terminate(); err == nil {
		t.Error("a server that does not run was terminated without an error")
	}
	if err := r.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestRedisIsEmptyAfterAKill(t *testing.T) {
	t.Parallel()
	r := startRedis(t, RedisOptions{})
	set(t, r)
	if err := errors.Join(r.Kill(), r.Start(t.Context())); err != nil {
		t.Fatal(err)
	}
	if got := size(t, r); got != 0 {
		t.Errorf("keys after Kill and Start = %d, want 0", got)
	}
	set(t, r)
	if err := r.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := size(t, r); got != 0 {
		t.Errorf("keys after Restart = %d, want 0", got)
	}
}

func TestPersistentRedisKeepsKeysThroughAKill(t *testing.T) {
	t.Parallel()
	r := startRedis(t, RedisOptions{Persist: true})
	set(t, r)
	if err := errors.Join(r.Kill(), r.Start(t.Context())); err != nil {
		t.Fatal(err)
	}
	if got := size(t, r); got != 1 {
		t.Errorf("keys after Kill and Start = %d, want 1", got)
	}
}

func TestFlushAllEmptiesRedis(t *testing.T) {
	t.Parallel()
	r := startRedis(t, RedisOptions{})
	set(t, r)
	if got := size(t, r); got != 1 {
		t.Fatalf("keys = %d, want 1", got)
	}
	if err := r.FlushAll(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := size(t, r); got != 0 {
		t.Errorf("keys after FlushAll = %d, want 0", got)
	}
}

func TestPausedRedisAnswersNobodyUntilResumed(t *testing.T) {
	t.Parallel()
	r := startRedis(t, RedisOptions{})
	if err := r.Pause(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), unanswered)
	defer cancel()
	if _, err := ask(ctx, r.Addr(), "PING"); err == nil {
		t.Error("a paused server answered")
	}
	if err := r.Resume(); err != nil {
		t.Fatal(err)
	}
	if got, err := ask(t.Context(), r.Addr(), "PING"); got != "PONG" {
		t.Errorf("PING = %q, %v", got, err)
	}
}

// The first start takes another port when its own is taken; a later one waits.
func TestRedisStartWaitsForItsPort(t *testing.T) {
	t.Parallel()
	r := startRedis(t, RedisOptions{})
	if err := r.Kill(); err != nil {
		t.Fatal(err)
	}
	squatter, err := net.Listen("tcp", r.Addr())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*unanswered) // it has to begin, and to end
	defer cancel()
	err = r.Start(ctx)
	if err == nil || !strings.Contains(err.Error(), "Address already in use") {
		t.Errorf("Start on a taken port: error = %v, want the server's words", err)
	}
	if err := errors.Join(squatter.Close(), r.Start(t.Context())); err != nil {
		t.Error(err)
	}
}

func TestNewestFirstComparesVersionsAsNumbers(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	for _, version := range []string{"9.6", "14", "15"} {
		if err := os.MkdirAll(filepath.Join(root, version, "bin"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	for _, dir := range newestFirst(filepath.Join(root, "*", "bin")) {
		got = append(got, filepath.Base(filepath.Dir(dir)))
	}
	if strings.Join(got, " ") != "15 14 9.6" {
		t.Errorf("order = %v, want 15 14 9.6", got)
	}
}

func TestLastLines(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ text, want string }{
		{"", ""},
		{"a\n", "a"},
		{"a\nb\nc\n", "b\nc"},
	} {
		if got := lastLines(c.text, 2); got != c.want {
			t.Errorf("lastLines(%q) = %q, want %q", c.text, got, c.want)
		}
	}
}

func TestRootHandsPostgresToAnUnprivilegedUser(t *testing.T) {
	t.Parallel()
	p := startPostgres(t, PostgresOptions{})
	info, err := os.Stat(filepath.Join("/proc", strconv.Itoa(p.PID())))
	if err != nil {
		info, err = os.Stat(p.dataDir()) // no /proc here: the data have the server's owner
	}
	if err != nil {
		t.Fatal(err)
	}
	if owner := info.Sys().(*syscall.Stat_t).Uid; owner == 0 {
		t.Error("PostgreSQL runs as root")
	}
	if _, err := credentialOf("nobody"); err != nil {
		t.Errorf("there is no user nobody to fall back to: %v", err)
	}
}

// stopAtEnd stops a server when the test ends.
func stopAtEnd(t *testing.T, stop func() error) {
	t.Helper()
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

func startPostgres(t *testing.T, options PostgresOptions) *Postgres {
	t.Helper()
	p, err := StartPostgres(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	stopAtEnd(t, p.Stop)
	return p
}

func startRedis(t *testing.T, options RedisOptions) *Redis {
	t.Helper()
	r, err := StartRedis(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	stopAtEnd(t, r.Stop)
	return r
}

func open(t *testing.T, p *Postgres) *sql.DB {
	t.Helper()
	db, err := sql.Open("pgx", p.URL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func exec1(t *testing.T, db *sql.DB, statement string) {
	t.Helper()
	if _, err := db.ExecContext(t.Context(), statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// query returns the one value of a query. It tries again, because the
// connections in the pool may be those of a server that is gone.
func query(t *testing.T, db *sql.DB, statement string) string {
	t.Helper()
	var value string
	var err error
	waitFor(t, func() bool {
		err = db.QueryRowContext(t.Context(), statement).Scan(&value)
		if err != nil {
			t.Logf("%s: %v", statement, err)
		}
		return err == nil
	})
	return value
}

func answersNewConnection(t *testing.T, p *Postgres) bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), unanswered)
	defer cancel()
	return open(t, p).PingContext(ctx) == nil
}

func set(t *testing.T, r *Redis) {
	t.Helper()
	if _, err := ask(t.Context(), r.Addr(), "SET key value"); err != nil {
		t.Fatal(err)
	}
}

// size counts the keys of a server by INFO, whose keyspace section has a line
// for each database that is not empty.
func size(t *testing.T, r *Redis) int {
	t.Helper()
	info, err := ask(t.Context(), r.Addr(), "INFO keyspace")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(info, "db0:keys=")
	if !found {
		return 0
	}
	digits, _, _ := strings.Cut(rest, ",")
	n, err := strconv.Atoi(digits)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func isAlive(t *testing.T, pid int) bool {
	t.Helper()
	all, err := processes()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range all {
		if p.pid == pid {
			return !p.ended()
		}
	}
	return false
}

// openDir makes a folder that every user may pass through, which t.TempDir is
// not.
func openDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "usersync-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func waitFor(t *testing.T, reached func() bool) {
	t.Helper()
	if err := pollFor(20*time.Second, func() (bool, error) { return reached(), nil }); err != nil {
		t.Fatal("waited in vain")
	}
}

// orphanVariable makes this test binary start servers and wait to be killed.
const orphanVariable = "SERVICES_TEST_ORPHAN"

func TestMain(m *testing.M) {
	if os.Getenv(orphanVariable) != "" {
		beKilled()
	}
	os.Exit(m.Run())
}

func beKilled() {
	p, err := StartPostgres(context.Background(), PostgresOptions{Dir: os.Getenv(orphanVariable)})
	if err != nil {
		panic(err)
	}
	r, err := StartRedis(context.Background(), RedisOptions{Dir: os.Getenv(orphanVariable)})
	if err != nil {
		panic(err)
	}
	_, _ = os.Stdout.WriteString(strconv.Itoa(p.PID()) + " " + strconv.Itoa(r.PID()) + "\n")
	select {}
}

func TestServersEndWithTheirParent(t *testing.T) {
	t.Parallel()
	dir := openDir(t)
	t.Cleanup(func() { removeSharedMemoryIn(dir) })
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), orphanVariable+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	parent, err := StartProcess("the parent", cmd, "")
	if err != nil {
		t.Fatal(err)
	}
	line := make([]byte, 100)
	n, err := out.Read(line)
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Kill(); err != nil {
		t.Fatal(err)
	}
	for word := range strings.FieldsSeq(string(line[:n])) {
		pid, err := strconv.Atoi(word)
		if err != nil {
			t.Fatal(err)
		}
		waitFor(t, func() bool { return !isAlive(t, pid) })
	}
}

// removeSharedMemoryIn tidies up after servers whose Stop was never called.
func removeSharedMemoryIn(dir string) {
	dirs, _ := filepath.Glob(filepath.Join(dir, "*")) // the pattern is well formed
	for _, d := range dirs {
		(&Postgres{server: server{dir: d}}).removeSharedMemory()
	}
}
