//go:build unix

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hibiken/asynq"
	"github.com/labstack/echo/v4"
	"github.com/redis/go-redis/v9"

	"usersync/test/services"
)

// The references use Echo, Asynq and Redis bare, past the packages of this
// repository that own them: they stand for what these libraries can do alone.

// clientCounts are how many callers there are at a time; fullSpeedClients is
// one of them.
var clientCounts = []int{1, 16, 64, 256}

// batchSize is how many users a call of the form for many sends.
const batchSize = 100

// forms are the two ways to send users: one a call, and many.
var forms = []int{1, batchSize}

// unlimited is more requests than a measurement can make.
const unlimited = 1 << 40

// echo measures a handler that does nothing but decode the same JSON.
func (b *bench) echo(ctx context.Context) error {
	p, addr, err := b.serveRole(ctx, roleEcho)
	if err != nil {
		return err
	}
	defer stop(p)
	for _, form := range forms {
		for _, clients := range b.clients {
			progress("bare Echo, %d clients%s", clients, many(form))
			l := load{addr: addr, key: "none", clients: clients, batch: form, next: new(atomic.Int64), length: b.measure, most: unlimited}
			o, err := l.run(ctx)
			if err != nil {
				return fmt.Errorf("bare Echo: %w", err)
			}
			b.report.echo.set(form, clients, o.perSecond())
			b.report.latency("bare Echo, JSON decoded, 202"+many(form), clients, o)
		}
	}
	return nil
}

// many says in a report that calls were batches.
func many(form int) string {
	if form == 1 {
		return ""
	}
	return fmt.Sprintf(", %d users a call", form)
}

// echoUser is what the reference decodes of a user: all of it.
type echoUser struct {
	Email      string `json:"email"`
	Country    string `json:"country"`
	FirstName  string `json:"firstName"`
	LastName   string `json:"lastName"`
	Name       string `json:"name"`
	JobTitle   string `json:"jobTitle"`
	InviteLink string `json:"inviteLink"`
}

type echoAccepted struct {
	Success   bool   `json:"success"`
	Status    string `json:"status"`
	RequestID string `json:"requestId"`
}

func serveEcho(ctx context.Context, addr string) error {
	e := echo.New()
	e.GET("/readyz", func(c echo.Context) error { return c.NoContent(http.StatusOK) })
	e.POST("/v1/user-sync", func(c echo.Context) error {
		var in struct {
			User echoUser `json:"user"`
		}
		if err := c.Bind(&in); err != nil {
			return err
		}
		return c.JSON(http.StatusAccepted, echoAccepted{true, "processing", in.User.Email})
	})
	e.POST("/v1/user-sync/batch", func(c echo.Context) error {
		var in struct {
			Users []echoUser `json:"users"`
		}
		if err := c.Bind(&in); err != nil {
			return err
		}
		results := make([]echoAccepted, len(in.Users))
		for i, u := range in.Users {
			results[i] = echoAccepted{true, "processing", u.Email}
		}
		return c.JSON(http.StatusAccepted, map[string]any{"success": true, "results": results})
	})
	return serveHTTP(ctx, addr, e)
}

// asynqRates are what bare Asynq does, per second.
type asynqRates struct {
	Enqueue float64         `json:"enqueue"`
	Noop    map[int]float64 `json:"noop"` // by concurrency
}

const (
	asynqClients = 16
	// asynqDatabase is the Redis database of the reference.
	asynqDatabase = 15
)

// asynqConcurrency is how many tasks a server works at once: one for each
// processor, which is Asynq's default, and as many as there are clients.
var asynqConcurrency = []int{runtime.NumCPU(), asynqClients}

func (b *bench) asynq(ctx context.Context) error {
	progress("bare Asynq")
	url, err := emptyRedis(ctx, b.redis, asynqDatabase)
	if err != nil {
		return err
	}
	seconds := strconv.Itoa(int(b.measure / time.Second))
	cmd := exec.CommandContext(ctx, b.self, "-role", roleAsynq, "-address", url, "-seconds", seconds) //nolint:gosec // this program
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("bare Asynq: %w", err)
	}
	var rates asynqRates
	if err := json.Unmarshal(out, &rates); err != nil {
		return fmt.Errorf("bare Asynq: %w", err)
	}
	b.report.asynq = rates.Noop
	b.report.rate("bare Asynq, enqueue", strconv.Itoa(asynqClients), rates.Enqueue, "")
	for _, n := range asynqConcurrency {
		b.report.rate("bare Asynq, no-op task", "", rates.Noop[n], fmt.Sprintf("%d at once", n))
	}
	_, err = emptyRedis(ctx, b.redis, asynqDatabase)
	return err
}

// runAsynq is the role that fills a queue and empties it.
func runAsynq(ctx context.Context, url string, length time.Duration) error {
	redisOptions, err := asynq.ParseRedisURI(url)
	if err != nil {
		return fmt.Errorf("read the address of Redis: %w", err)
	}
	rates := asynqRates{Noop: map[int]float64{}}
	if rates.Enqueue, err = enqueue(ctx, redisOptions, length); err != nil {
		return err
	}
	for _, n := range asynqConcurrency {
		if rates.Noop[n], err = work(ctx, redisOptions, n, length); err != nil {
			return err
		}
		// The next server needs a full queue again.
		if _, err := enqueue(ctx, redisOptions, length/2); err != nil {
			return err
		}
	}
	return json.NewEncoder(os.Stdout).Encode(rates)
}

func enqueue(ctx context.Context, r asynq.RedisConnOpt, length time.Duration) (perSecond float64, err error) {
	queue := asynq.NewClient(r)
	defer func() { _ = queue.Close() }()
	return repeat(ctx, asynqClients, length, func() error {
		_, err := queue.Enqueue(asynq.NewTask("noop", []byte(`{"id":"req_0000000000"}`)))
		if err != nil {
			return fmt.Errorf("enqueue a task: %w", err)
		}
		return nil
	})
}

// repeat has some callers do something again and again for a time, each as fast as
// it can, and returns how often a second it was done by all.
func repeat(ctx context.Context, callers int, length time.Duration, do func() error) (perSecond float64, err error) {
	started := time.Now()
	var done atomic.Int64
	var wg sync.WaitGroup
	failures := make(chan error, callers)
	for range callers {
		wg.Go(func() {
			for time.Since(started) < length && ctx.Err() == nil {
				if err := do(); err != nil {
					failures <- err
					return
				}
				done.Add(1)
			}
		})
	}
	wg.Wait()
	close(failures)
	return float64(done.Load()) / time.Since(started).Seconds(), errors.Join(<-failures, ctx.Err())
}

// work empties the queue for the length given, or until it is empty.
func work(ctx context.Context, r asynq.RedisConnOpt, concurrency int, length time.Duration) (perSecond float64, err error) {
	inspector := asynq.NewInspector(r)
	defer func() { _ = inspector.Close() }()
	info, err := inspector.GetQueueInfo("default")
	if err != nil {
		return 0, fmt.Errorf("ask how long the queue is: %w", err)
	}
	waiting := int64(info.Size)
	var done atomic.Int64
	empty := make(chan struct{})
	server := asynq.NewServer(r, asynq.Config{Concurrency: concurrency, LogLevel: asynq.ErrorLevel})
	started := time.Now()
	err = server.Start(asynq.HandlerFunc(func(context.Context, *asynq.Task) error {
		if done.Add(1) == waiting {
			close(empty)
		}
		return nil
	}))
	if err != nil {
		return 0, fmt.Errorf("start a server of Asynq: %w", err)
	}
	defer server.Shutdown()
	select {
	case <-empty:
	case <-time.After(length):
	case <-ctx.Done():
	}
	return float64(done.Load()) / time.Since(started).Seconds(), ctx.Err()
}

// emptyRedis empties one database of the server and returns its URL.
func emptyRedis(ctx context.Context, server string, number int) (string, error) {
	url, err := withPath(server, strconv.Itoa(number))
	if err != nil {
		return "", err
	}
	o, err := redis.ParseURL(url)
	if err != nil {
		return "", fmt.Errorf("read the address of Redis: %w", err)
	}
	client := redis.NewClient(o)
	defer func() { _ = client.Close() }()
	return url, client.FlushDB(ctx).Err()
}

const (
	insertClients = 16
	insertTable   = `CREATE TABLE single (id bigserial PRIMARY KEY, body text NOT NULL)`
)

// insertRow is a row of about the size of an accepted request.
var insertRow = `INSERT INTO single (body) VALUES ('` + strings.Repeat("x", 200) + `')`

// postgres measures commits of one row each.
func (b *bench) postgres(ctx context.Context) error {
	progress("PostgreSQL, single-row commits")
	d, err := b.admin.create(ctx, "single")
	if err != nil {
		return err
	}
	defer func() { _ = b.admin.drop(d) }()
	if _, err := d.ExecContext(ctx, insertTable); err != nil {
		return fmt.Errorf("make the table of the reference: %w", err)
	}
	rate, how, err := b.insert(ctx, d)
	if err != nil {
		return fmt.Errorf("PostgreSQL: %w", err)
	}
	b.report.rate("PostgreSQL, single-row commits", strconv.Itoa(insertClients), rate, how)
	return nil
}

func (b *bench) insert(ctx context.Context, d *database) (perSecond float64, how string, err error) {
	if program := findPgbench(); program != "" {
		perSecond, err = b.pgbench(ctx, program, d)
		return perSecond, "pgbench, prepared", err
	}
	perSecond, err = insertLoop(ctx, d, b.measure)
	return perSecond, "database/sql, prepared", err
}

// findPgbench looks beside the server's programs, then on the PATH.
func findPgbench() string {
	if dir, err := services.FindPostgres(); err == nil {
		program := filepath.Join(dir, "pgbench")
		if _, err := os.Stat(program); err == nil {
			return program
		}
	}
	program, _ := exec.LookPath("pgbench") // "" when there is none
	return program
}

var tps = regexp.MustCompile(`tps = ([0-9.]+)`)

func (b *bench) pgbench(ctx context.Context, program string, d *database) (float64, error) {
	script := filepath.Join(b.dir, "insert.sql")
	if err := os.WriteFile(script, []byte(insertRow+";\n"), 0o600); err != nil {
		return 0, fmt.Errorf("write the script of pgbench: %w", err)
	}
	seconds := strconv.Itoa(int(b.measure / time.Second))
	clients := strconv.Itoa(insertClients)
	cmd := exec.CommandContext(ctx, program, "-n", "-M", "prepared", "-c", clients, "-j", "2", "-T", seconds, "-f", script, d.url) //nolint:gosec // found beside the server
	out, err := cmd.CombinedOutput()
	if err != nil {
		return 0, fmt.Errorf("pgbench: %w\n%s", err, out)
	}
	found := tps.FindSubmatch(out)
	if found == nil {
		return 0, fmt.Errorf("pgbench said no rate:\n%s", out)
	}
	return strconv.ParseFloat(string(found[1]), 64)
}

// insertLoop does the same from this process, where pgbench is missing.
func insertLoop(ctx context.Context, d *database, length time.Duration) (perSecond float64, err error) {
	d.SetMaxOpenConns(insertClients)
	d.SetMaxIdleConns(insertClients)
	return repeat(ctx, insertClients, length, func() error {
		_, err := d.ExecContext(ctx, insertRow)
		if err != nil {
			return fmt.Errorf("insert a row: %w", err)
		}
		return nil
	})
}
