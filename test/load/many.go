//go:build unix

package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"usersync/internal/delivery"
	"usersync/test/system"
)

const (
	// manyEndpoints are called about each of manyRequests requests, each at an address of
	// its own: a connection that is kept is kept for each.
	manyEndpoints = 1000
	manyRequests  = 10
	// manyWithin is how long their messages may take.
	manyWithin = 2 * time.Minute
)

// hosts listen at many addresses of this machine and count the calls.
type hosts struct {
	server *http.Server
	urls   []string
	calls  atomic.Int64
}

func listenAtMany(n int) (*hosts, error) {
	h := &hosts{}
	h.server = &http.Server{ReadHeaderTimeout: answerWithin, Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		h.calls.Add(1)
	})}
	for i := range n {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.%d.%d:0", 1+i/250, 1+i%250)) //nolint:noctx // it is there at once
		if err != nil {
			_ = h.server.Close()
			return nil, fmt.Errorf("listen at address %d: %w", i, err)
		}
		h.urls = append(h.urls, "http://"+l.Addr().String()+"/")
		go func() { _ = h.server.Serve(l) }() // ends with the server
	}
	return h, nil
}

// many measures what the programs hold when an organization has many endpoints, and all
// of them were called.
func (p *product) many(ctx context.Context) error {
	progress("%s: %d endpoints", p.name, manyEndpoints)
	t, err := p.makeTenant(ctx, nil)
	if err != nil {
		return err
	}
	if err := p.operator.Configure(ctx, t.id, map[string]any{
		"rateLimit": map[string]any{"rate": 1e6, "burst": 1e6}, "limits": map[string]any{"webhookEndpoints": manyEndpoints},
	}); err != nil {
		return err
	}
	h, err := listenAtMany(manyEndpoints)
	if err != nil {
		return err
	}
	defer func() { _ = h.server.Close() }()
	client := system.NewClient(t.key, "http://"+p.addr)
	for _, url := range h.urls {
		if _, err := client.AddEndpoint(ctx, url, string(delivery.MessageCompleted)); err != nil {
			return err
		}
	}
	for i := range manyRequests {
		if _, err := client.Do(ctx, system.SyncCall(system.User{Email: "m" + strconv.Itoa(i) + "@many.example", Country: "US"})); err != nil {
			return fmt.Errorf("call %d: %w", i, err)
		}
	}
	if err := h.await(ctx, manyEndpoints*manyRequests); err != nil {
		return err
	}
	p.bench.report.memory(p, fmt.Sprintf(" with %d endpoints", manyEndpoints))
	return nil
}

// await waits until there were so many calls.
func (h *hosts) await(ctx context.Context, calls int64) error {
	ctx, cancel := context.WithTimeout(ctx, manyWithin)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for h.calls.Load() < calls {
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d of %d messages came: %w", h.calls.Load(), calls, ctx.Err())
		case <-tick.C:
		}
	}
	return nil
}
