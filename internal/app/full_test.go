//go:build unix

package app_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"usersync/internal/app"
	"usersync/internal/app/apptest"
	"usersync/internal/request"
	"usersync/internal/usersync"
	"usersync/test/services"
)

// page reads an operations route.
func page(t *testing.T, a *apptest.Running, path string) (status int, body string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, a.OpsAddr()+path, nil)
	must(t, err)
	answer, err := http.DefaultClient.Do(r)
	must(t, err)
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	must(t, err)
	return answer.StatusCode, string(text)
}

func TestAFullRedisLosesNothingAndIsTold(t *testing.T) {
	t.Parallel()
	server, err := services.StartRedis(t.Context(), services.RedisOptions{})
	must(t, err)
	t.Cleanup(func() { must(t, server.Stop()) })
	client := redis.NewClient(&redis.Options{Addr: server.Addr()})
	t.Cleanup(func() { _ = client.Close() })

	e := apptest.New(t, "deployed")
	e.Config.RedisURL = usersync.NewSecret(server.URL())
	api, worker := e.Start(t, app.API), e.Start(t, app.Worker)
	n := newTenant(t, api, 100)
	p := n.connect(t, "http")
	n.until(t, n.sync(t, usersync.UserInput{}, "before@acme.example.com"), request.Succeeded)

	must(t, client.ConfigSet(t.Context(), "maxmemory", "6mb").Err())
	for i := 0; err == nil; i++ {
		err = client.Set(t.Context(), fmt.Sprint("filler", i), strings.Repeat("x", 64<<10), 0).Err()
	}
	if !strings.Contains(err.Error(), "OOM") {
		t.Fatal(err)
	}
	must(t, client.ConfigSet(t.Context(), "maxmemory", "4mb").Err()) // so that no buffer that is freed makes room

	var ids []string
	for i := range 30 {
		ids = append(ids, n.sync(t, usersync.UserInput{}, fmt.Sprintf("user%d@acme.example.com", i)))
	}
	if status, body := page(t, api, "/readyz"); status != http.StatusOK || !strings.Contains(body, `"queue":"degraded"`) {
		t.Errorf("the API says %d %s", status, body)
	}
	if status, body := page(t, worker, "/readyz"); status != http.StatusServiceUnavailable || !strings.Contains(body, `"queue":"failed"`) {
		t.Errorf("the worker says %d %s", status, body)
	}
	if _, body := page(t, worker, "/metrics"); !strings.Contains(body, "\nusersync_queue_full 1\n") {
		t.Error("the metric does not say that the queue is full")
	}

	must(t, client.ConfigSet(t.Context(), "maxmemory", "100mb").Err())
	n.succeed(t, ids)
	if got := p.fake.People().Len(); got != len(ids)+1 {
		t.Errorf("the platform has %d people", got)
	}
	if status, body := page(t, worker, "/readyz"); status != http.StatusOK {
		t.Errorf("after there was room, the worker says %d %s", status, body)
	}
}
