//go:build unix

package services

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// redisTimeout bounds one exchange with the server.
const redisTimeout = 5 * time.Second

// RedisOptions says how a Redis server is started; the zero value is right for
// tests.
type RedisOptions struct {
	// Dir is the folder in which the server makes its own one; empty is the
	// system's folder for temporary files.
	Dir string
	// Persist keeps an append-only file, so that Kill and Start lose nothing
	// that was answered. Without it every start is empty.
	Persist bool
}

// Redis is a private Redis or Valkey server.
type Redis struct {
	server
	binary  string
	options RedisOptions
}

// StartRedis starts a server that never evicts a key. It returns ErrNoRedis
// when Redis is not installed. The caller calls Stop.
func StartRedis(ctx context.Context, options RedisOptions) (*Redis, error) {
	binary, err := FindRedis()
	if err != nil {
		return nil, err
	}
	dir, err := makeDir(options.Dir, nil)
	if err != nil {
		return nil, err
	}
	r := &Redis{binary: binary, options: options}
	r.server = server{
		name: "Redis", dir: dir,
		command: r.command, ready: r.ready, cleanUp: func() {},
		endSignal: syscall.SIGTERM, discardSignal: syscall.SIGTERM,
	}
	if err := r.startNew(ctx); err != nil {
		return nil, errors.Join(err, r.Stop())
	}
	return r, nil
}

// URL returns the address of the server's first database.
func (r *Redis) URL() string { return "redis://" + r.Addr() + "/0" }

// FlushAll empties every database of the server, as an operator's mistake does.
func (r *Redis) FlushAll(ctx context.Context) error {
	answer, err := ask(ctx, r.Addr(), "FLUSHALL")
	if err != nil {
		return err
	}
	if answer != "OK" {
		return fmt.Errorf("FLUSHALL: unexpected answer %q", answer)
	}
	return nil
}

// Do runs a command, as redis-cli takes it, that answers with a text.
func (r *Redis) Do(ctx context.Context, command string) (string, error) {
	return ask(ctx, r.Addr(), command)
}

// Clients returns how many connections the server has, this question's own
// among them.
func (r *Redis) Clients(ctx context.Context) (int, error) {
	info, err := ask(ctx, r.Addr(), "INFO")
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(info, "\nconnected_clients:")
	count, _, _ := strings.Cut(rest, "\r\n")
	n, err := strconv.Atoi(count)
	if err != nil {
		return 0, fmt.Errorf("INFO tells no number of connections: %w", err)
	}
	return n, nil
}

func (r *Redis) command() *exec.Cmd {
	appendOnly := "no"
	if r.options.Persist {
		appendOnly = "yes"
	}
	cmd := exec.Command(r.binary,
		"--port", r.port(), "--bind", "127.0.0.1",
		"--dir", r.dir, "--save", "", "--appendonly", appendOnly,
		// Once a second, the default, holds writes back for as long as the disk is busy.
		"--appendfsync", "always",
		"--maxmemory-policy", "noeviction", "--daemonize", "no")
	cmd.Dir = r.dir
	cmd.Env = plainEnv()
	return cmd
}

// ready asks for the process that answers, because another server may have won
// the port. While it loads its file, Redis refuses all but a few commands and
// says so in this answer.
func (r *Redis) ready(ctx context.Context, pid int) error {
	info, err := ask(ctx, r.listen, "INFO")
	if err != nil {
		return err
	}
	for _, line := range []string{fmt.Sprintf("process_id:%d", pid), "loading:0"} {
		if !strings.Contains(info, line+"\r\n") {
			return fmt.Errorf("the server does not say %s", line)
		}
	}
	return r.loaded(pid)
}

// loaded asks the log whether the server has read its file: between the parts of one,
// Redis 7 says loading:0 and answers as if it were empty.
func (r *Redis) loaded(pid int) error {
	log, err := os.ReadFile(filepath.Join(r.dir, "server.log"))
	if err != nil {
		return fmt.Errorf("read the log: %w", err)
	}
	const words = "Ready to accept connections"
	for line := range strings.Lines(string(log)) {
		if strings.HasPrefix(line, strconv.Itoa(pid)+":") && strings.Contains(line, words) {
			return nil
		}
	}
	return fmt.Errorf("the server does not say %s", words)
}

// ask sends one command, as one line, and returns the answer, on a connection of its own.
func ask(ctx context.Context, addr, command string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, redisTimeout)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return "", fmt.Errorf("connect for %s: %w", command, err)
	}
	defer func() { _ = conn.Close() }()
	deadline, _ := ctx.Deadline()
	if err := conn.SetDeadline(deadline); err != nil {
		return "", fmt.Errorf("set the deadline of %s: %w", command, err)
	}
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	if _, err := io.WriteString(conn, command+"\r\n"); err != nil {
		return "", fmt.Errorf("%s: %w", command, err)
	}
	answer, err := readAnswer(bufio.NewReader(conn))
	if err != nil {
		return "", fmt.Errorf("%s: %w", command, err)
	}
	return answer, nil
}

// readAnswer reads a simple string, an error or a bulk string of the Redis
// protocol, version 2.
func readAnswer(r *bufio.Reader) (string, error) {
	line, err := r.ReadString('\n')
	if err != nil {
		return "", err
	}
	line = strings.TrimRight(line, "\r\n")
	if line == "" {
		return "", errors.New("empty answer")
	}
	switch kind, rest := line[0], line[1:]; kind {
	case '+':
		return rest, nil
	case '-':
		return "", errors.New(rest)
	case '$':
		return readBulk(r, rest)
	default:
		return "", fmt.Errorf("unexpected answer %q", line)
	}
}

func readBulk(r io.Reader, size string) (string, error) {
	n, err := strconv.Atoi(size)
	if err != nil || n < 0 || n > 1<<20 {
		return "", fmt.Errorf("unexpected length %q", size)
	}
	text := make([]byte, n)
	_, err = io.ReadFull(r, text)
	return string(text), err
}
