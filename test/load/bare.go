//go:build unix

package main

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/hibiken/asynq"
	"github.com/labstack/echo/v4"

	"usersync/internal/usersync"
	"usersync/internal/webhooksig"
	"usersync/test/services"
)

// The smallest form of the job is what one would write first: Echo stores the request and
// gives its id to Asynq, and a worker reads it, posts a webhook and notes that it is done.
// It finds nobody, charges nothing and signs nothing; a request whose task gets lost is
// lost, and no organization is kept from another's share. What it costs at a steady load
// is what two programs, two commits, a queue and a POST cost on this machine: the floor of
// the shape that the service has.

// bare is the name of that form.
const bare = "bare Echo and Asynq"

// bareCheckEvery is how long Asynq waits before it asks an empty queue again. Its default
// of a second would be most of the time to the webhook.
const bareCheckEvery = 5 * time.Millisecond

const (
	bareTable  = `CREATE TABLE bare (id text PRIMARY KEY, body text NOT NULL, done boolean NOT NULL DEFAULT false)`
	bareStore  = `INSERT INTO bare (id, body) VALUES ($1, $2)`
	bareRead   = `SELECT body FROM bare WHERE id = $1`
	bareFinish = `UPDATE bare SET done = true WHERE id = $1`
	bareTask   = "bare"
)

// bareSettings are what both of its programs read from their environment.
type bareSettings struct{ database, redis, receiver string }

func (s bareSettings) environment() []string {
	return []string{"DATABASE_URL=" + s.database, "REDIS_URL=" + s.redis, "RECEIVER=" + s.receiver}
}

func bareFromEnvironment() bareSettings {
	return bareSettings{os.Getenv("DATABASE_URL"), os.Getenv("REDIS_URL"), os.Getenv("RECEIVER")}
}

// bareConnections is how many connections each program keeps, to PostgreSQL and to the
// receiver.
const bareConnections = 16

func (s bareSettings) open() (*sql.DB, error) {
	db, err := sql.Open("pgx", s.database)
	if err != nil {
		return nil, errors.New("DATABASE_URL is not a PostgreSQL URL")
	}
	db.SetMaxOpenConns(bareConnections)
	db.SetMaxIdleConns(bareConnections)
	return db, nil
}

// bareSteady measures the steady loads of the smallest form.
func (b *bench) bareSteady(ctx context.Context) (err error) {
	progress("%s: starting", bare)
	p := &product{name: bare, bench: b}
	defer func() { err = errors.Join(err, p.stop()) }()
	if err := p.startBare(ctx); err != nil {
		return err
	}
	for _, rate := range steadyRates {
		if err := p.steady(ctx, rate); err != nil {
			return err
		}
	}
	return nil
}

func (p *product) startBare(ctx context.Context) error {
	r, err := p.bench.receive(ctx)
	if err != nil {
		return err
	}
	p.tenant = &benchTenant{key: "none", receiver: r, introduced: unlimited} // it looks for nobody
	if p.database, err = p.bench.admin.create(ctx, "bare"); err != nil {
		return err
	}
	if _, err := p.database.ExecContext(ctx, bareTable); err != nil {
		return fmt.Errorf("make the table: %w", err)
	}
	redisURL, err := emptyRedis(ctx, p.bench.redis, asynqDatabase)
	if err != nil {
		return err
	}
	env := bareSettings{p.database.url, redisURL, "http://" + r.addr + "/hooks"}.environment()
	for _, one := range []struct{ name, role string }{{"api", roleBareAPI}, {"worker", roleBareWorker}} {
		addr, err := services.FreeAddr()
		if err != nil {
			return err
		}
		started, err := p.bench.start(ctx, one.role, env, addr, p.bench.self, "-role", one.role, "-address", addr)
		if err != nil {
			return err
		}
		p.processes = append(p.processes, started)
		p.parts = append(p.parts, part{name: one.name, root: started.PID()})
		if one.role == roleBareAPI {
			p.addr = addr
		}
	}
	if err := p.addServers(ctx); err != nil {
		return err
	}
	return p.warmUp(ctx)
}

// serveBareAPI is the role that accepts.
func serveBareAPI(ctx context.Context, addr string) error {
	settings := bareFromEnvironment()
	db, err := settings.open()
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	redisOptions, err := asynq.ParseRedisURI(settings.redis)
	if err != nil {
		return errors.New("REDIS_URL is not a Redis URL")
	}
	queue := asynq.NewClient(redisOptions)
	defer func() { _ = queue.Close() }()
	e := echo.New()
	e.GET("/readyz", func(c echo.Context) error { return c.NoContent(http.StatusOK) })
	e.POST("/v1/user-sync", func(c echo.Context) error {
		var in struct {
			User echoUser `json:"user"`
		}
		if err := c.Bind(&in); err != nil {
			return err
		}
		ctx, id := c.Request().Context(), usersync.NewID(usersync.PrefixRequest)
		if _, err := db.ExecContext(ctx, bareStore, id, fmt.Sprintf(`{"requestId":"%s","name":%q}`, id, in.User.Name)); err != nil {
			return fmt.Errorf("store the request: %w", err)
		}
		if _, err := queue.EnqueueContext(ctx, asynq.NewTask(bareTask, []byte(id)), asynq.TaskID(id)); err != nil {
			return fmt.Errorf("enqueue the task: %w", err)
		}
		return c.JSON(http.StatusAccepted, echoAccepted{true, "processing", id})
	})
	return serveHTTP(ctx, addr, e)
}

// serveBareWorker is the role that works what was accepted.
func serveBareWorker(ctx context.Context, addr string) error {
	settings := bareFromEnvironment()
	db, err := settings.open()
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	redisOptions, err := asynq.ParseRedisURI(settings.redis)
	if err != nil {
		return errors.New("REDIS_URL is not a Redis URL")
	}
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: bareConnections}}
	server := asynq.NewServer(redisOptions, asynq.Config{Concurrency: asynqClients, LogLevel: asynq.ErrorLevel, TaskCheckInterval: bareCheckEvery})
	err = server.Start(asynq.HandlerFunc(func(ctx context.Context, t *asynq.Task) error {
		return workBare(ctx, db, client, settings.receiver, string(t.Payload()))
	}))
	if err != nil {
		return fmt.Errorf("start a server of Asynq: %w", err)
	}
	defer server.Shutdown()
	return serveHTTP(ctx, addr, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})) // it is ready
}

func workBare(ctx context.Context, db *sql.DB, client *http.Client, receiver, id string) error {
	var body string
	if err := db.QueryRowContext(ctx, bareRead, id).Scan(&body); err != nil {
		return fmt.Errorf("read the request: %w", err)
	}
	call, err := http.NewRequestWithContext(ctx, http.MethodPost, receiver, bytes.NewReader([]byte(body)))
	if err != nil {
		return fmt.Errorf("make the webhook: %w", err)
	}
	call.Header.Set(webhooksig.HeaderID, "msg_"+strings.TrimPrefix(id, "req_"))
	answer, err := client.Do(call) //nolint:gosec // our own receiver
	if err != nil {
		return fmt.Errorf("post the webhook: %w", err)
	}
	_ = answer.Body.Close()
	if answer.StatusCode != http.StatusNoContent {
		return fmt.Errorf("the receiver answered %d", answer.StatusCode)
	}
	if _, err := db.ExecContext(ctx, bareFinish, id); err != nil {
		return fmt.Errorf("note that it is done: %w", err)
	}
	return nil
}
