//go:build unix

package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"usersync/internal/delivery"
	"usersync/test/system"
)

// Harm: what one organization can do to what all share, on purpose or by accident, and
// what another one notices of it.

const (
	hangingEndpoints   = 140
	hangingConnections = 200
	waitingCalls       = 1000
	largeCallers       = 8
	largeBatch         = 1000
	// harmfulRequests give every endpoint and connection something to hang with.
	harmfulRequests = 40
	// harmRate is how many requests a second the other organization sends, and harmLength
	// how long at least: of fewer than 600, one in a hundred says little.
	harmRate   = 20
	harmLength = 30 * time.Second
	// waitingPosts is how many calls that wait for their work are timed.
	waitingPosts = 200
	// settlesWithin is how long a harm may take to be there.
	settlesWithin = time.Minute
)

// harm is one thing that an organization does to all others. do begins it and returns
// how it is ended.
type harm struct {
	name string
	do   func(ctx context.Context, h *harmful) (end func(), err error)
}

var harms = []harm{
	{fmt.Sprintf("%d endpoints that hang", hangingEndpoints), hangEndpoints},
	{fmt.Sprintf("%d connections that hang", hangingConnections), hangConnections},
	{fmt.Sprintf("%d calls that wait", waitingCalls), waitForNothing},
	{fmt.Sprintf("%d callers of %s users a call", largeCallers, whole(largeBatch)), sendLarge},
	{fmt.Sprintf("%s follow-ups, their loops and waits", whole(harmfulFollowUps)), setOffFollowUps},
}

// harmful is an organization that harms.
type harmful struct {
	product *product
	tenant  *benchTenant
	client  *system.Client
	server  *httptest.Server // hangs
	hanging atomic.Int64     // calls that it does not answer
}

// noticed is what another organization notices, sorted: until its requests are
// accepted, until their webhooks come, and until calls that wait are answered.
type noticed struct {
	accepted, webhook, waited []time.Duration
	// unanswered calls that wait were answered before their work was done.
	unanswered int
}

// harm measures a small organization alone and beside others that harm.
func (b *bench) harm(ctx context.Context) (err error) {
	p, err := b.launch(ctx, deployed, "harm")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.stop()) }()
	small, err := p.small(ctx)
	if err != nil {
		return err
	}
	defer stop(small.receiver.Process)
	platform := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer platform.Close()
	if err := connect(ctx, system.NewClient(small.key, "http://"+p.addr), platform.URL); err != nil {
		return err
	}
	progress("the small organization alone")
	alone, err := p.notice(ctx, small)
	if err != nil {
		return err
	}
	b.report.harm("nothing", alone, alone)
	for _, one := range harms {
		if !strings.Contains(one.name, b.harms) {
			continue
		}
		if err := p.harmOnce(ctx, one, small, alone); err != nil {
			return fmt.Errorf("beside %s: %w", one.name, err)
		}
	}
	return nil
}

func (p *product) harmOnce(ctx context.Context, one harm, small *benchTenant, alone noticed) error {
	h := &harmful{product: p}
	var err error
	if h.tenant, err = p.makeTenant(ctx, nil); err != nil {
		return err
	}
	limits := map[string]any{
		"rateLimit": map[string]any{"rate": 1e6, "burst": 1e6},
		"limits":    map[string]any{"webhookEndpoints": hangingEndpoints, "connections": hangingConnections},
	}
	if err := p.operator.Configure(ctx, h.tenant.id, limits); err != nil {
		return err
	}
	h.client = system.NewClient(h.tenant.key, "http://"+p.addr)
	h.server = httptest.NewServer(http.HandlerFunc(h.hang))
	defer func() {
		h.server.CloseClientConnections()
		h.server.Close()
	}()
	end, err := one.do(ctx, h)
	if err != nil {
		return err
	}
	progress("the small organization beside %s", one.name)
	beside, err := p.notice(ctx, small)
	end()
	if err != nil {
		return err
	}
	p.bench.report.harm(one.name, beside, alone)
	// What it left is not to harm beside the next one.
	return p.operator.Ask(ctx, http.MethodDelete, "/admin/v1/organizations/"+h.tenant.id, nil, nil)
}

// hang answers nothing until the caller has gone.
func (h *harmful) hang(_ http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	h.hanging.Add(1)
	defer h.hanging.Add(-1)
	<-r.Context().Done()
}

// settled waits until count has not risen for a second: until the harm is there in
// full. How it comes about is not measured.
func settled(ctx context.Context, count func() (int64, error)) error {
	ctx, cancel := context.WithTimeout(ctx, settlesWithin)
	defer cancel()
	tick := time.NewTicker(time.Second / 4)
	defer tick.Stop()
	for most, stood := int64(0), 0; stood < 4; {
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for the harm to settle: %w", ctx.Err())
		case <-tick.C:
		}
		n, err := count()
		if err != nil {
			return err
		}
		if stood++; n > most || n == 0 {
			most, stood = n, 0
		}
	}
	return nil
}

// notice measures an organization that sends now and then.
func (p *product) notice(ctx context.Context, small *benchTenant) (n noticed, err error) {
	d, err := p.deliver(ctx, small, load{clients: 16, due: evenly(harmRate), length: max(fairLength*p.bench.measure, harmLength), most: unlimited})
	if err != nil {
		return n, err
	}
	if d.missing > 0 {
		return n, errors.New(d.note())
	}
	for _, one := range d.samples {
		n.accepted = append(n.accepted, one.latency)
		n.webhook = append(n.webhook, d.arrivals[one.ids[0]].Time().Sub(one.answered.Add(-one.latency)))
	}
	client := system.NewClient(small.key, "http://"+p.addr)
	client.Header.Set("Prefer", "wait=10")
	for i := range waitingPosts {
		began := time.Now()
		answer, err := client.Do(ctx, system.SyncCall(system.User{Email: "w" + strconv.FormatInt(time.Now().UnixNano(), 36) + "@waits.example", Country: "US"}))
		if err != nil {
			return n, fmt.Errorf("call %d that waits: %w", i, err)
		}
		small.accepted++
		if answer.Status != http.StatusOK {
			n.unanswered++
		}
		n.waited = append(n.waited, time.Since(began))
	}
	slices.Sort(n.accepted)
	slices.Sort(n.webhook)
	slices.Sort(n.waited)
	return n, nil
}

// connect makes a connection to a server of one's own.
func connect(ctx context.Context, client *system.Client, url string) error {
	secret := base64.StdEncoding.EncodeToString([]byte(rand.Text() + rand.Text()))
	return client.Ask(ctx, http.MethodPost, "/v1/connections?check=false", map[string]any{
		"platform": "http", "settings": map[string]any{"url": url}, "credentials": map[string]any{"secret": "whsec_" + secret},
	}, nil)
}

// hangEndpoints has endpoints hang with several messages each, and then all the time.
func hangEndpoints(ctx context.Context, h *harmful) (end func(), err error) {
	for i := range hangingEndpoints {
		if _, err := h.client.AddEndpoint(ctx, h.server.URL+"/"+strconv.Itoa(i), string(delivery.MessageCompleted)); err != nil {
			return nil, err
		}
	}
	return h.keepSending(ctx)
}

// hangConnections has connections hang.
func hangConnections(ctx context.Context, h *harmful) (end func(), err error) {
	for i := range hangingConnections {
		if err := connect(ctx, h.client, h.server.URL+"/"+strconv.Itoa(i)); err != nil {
			return nil, err
		}
	}
	return h.keepSending(ctx)
}

// keepSending sends harmfulRequests, waits until as much of them hangs as may, and then
// sends one a second until end is called.
func (h *harmful) keepSending(ctx context.Context) (end func(), err error) {
	ctx, cancel := context.WithCancel(ctx)
	if err := h.sendSome(ctx, harmfulRequests); err != nil {
		cancel()
		return nil, err
	}
	if err := settled(ctx, func() (int64, error) { return h.hanging.Load(), nil }); err != nil {
		cancel()
		return nil, err
	}
	var sending sync.WaitGroup
	sending.Go(func() {
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				_ = h.sendSome(ctx, 1) // ends with ctx
			}
		}
	})
	return func() {
		cancel()
		sending.Wait()
	}, nil
}

func (h *harmful) sendSome(ctx context.Context, n int) error {
	for range n {
		number := h.tenant.next.Add(1)
		call := system.SyncCall(system.User{Email: "h" + strconv.FormatInt(number, 10) + "@harm.example", Country: "US"})
		if answer, err := h.client.Do(ctx, call); err != nil || answer.Status != http.StatusAccepted {
			return fmt.Errorf("send a request: %d %s %w", answer.Status, answer.Body, err)
		}
	}
	return nil
}

// waitForNothing has calls wait for a request that does not end, as its platform hangs.
func waitForNothing(ctx context.Context, h *harmful) (end func(), err error) {
	if err := connect(ctx, h.client, h.server.URL); err != nil {
		return nil, err
	}
	answer, err := h.client.Do(ctx, system.SyncCall(system.User{Email: "w@harm.example", Country: "US"}))
	if err != nil {
		return nil, err
	}
	var made struct {
		RequestID string `json:"requestId"`
	}
	if err := json.Unmarshal(answer.Body, &made); err != nil {
		return nil, fmt.Errorf("read the answer %s: %w", answer.Body, err)
	}
	ctx, cancel := context.WithCancel(ctx)
	var waiting sync.WaitGroup
	client := system.NewClient(h.tenant.key, "http://"+h.product.addr)
	client.Header.Set("Prefer", "wait=25")
	for range waitingCalls {
		waiting.Go(func() {
			for ctx.Err() == nil {
				_, _ = client.Do(ctx, system.Call{Method: http.MethodGet, Path: "/v1/requests/" + made.RequestID}) // ends with ctx
			}
		})
	}
	end = func() {
		cancel()
		waiting.Wait()
	}
	if err := settled(ctx, func() (int64, error) { return metric(ctx, h.product.operationsOf("api"), "usersync_calls_waiting") }); err != nil {
		end()
		return nil, err
	}
	return end, nil
}

// sendLarge sends large batches, each caller one after the other.
func sendLarge(ctx context.Context, h *harmful) (end func(), err error) {
	ctx, cancel := context.WithCancel(ctx)
	var sending sync.WaitGroup
	sending.Go(func() {
		l := load{
			addr: h.product.addr, key: h.tenant.key, next: &h.tenant.next, clients: largeCallers, batch: largeBatch, length: runWithin, most: unlimited,
		}
		_, _ = l.run(ctx) // ends with ctx
	})
	return func() {
		cancel()
		sending.Wait()
	}, nil
}

func (r *report) harm(name string, n, alone noticed) {
	row := []string{name}
	for _, waits := range [][]time.Duration{n.accepted, n.webhook, n.waited} {
		row = append(row, millis(percentile(waits, 50)), millis(percentile(waits, 99)))
	}
	r.harms = append(r.harms, append(row, fmt.Sprint(n.unanswered)))
	if name == "nothing" {
		return
	}
	for _, one := range []struct {
		what          string
		alone, beside []time.Duration
	}{{"accepted", alone.accepted, n.accepted}, {"its webhook", alone.webhook, n.webhook}, {"waiting calls", alone.waited, n.waited}} {
		r.goalAtMost(fmt.Sprintf("p99 beside %s / alone, %s", name, one.what), fairMost,
			float64(percentile(one.beside, 99))/float64(percentile(one.alone, 99)))
	}
	r.goalAtMost(fmt.Sprintf("beside %s, waiting calls answered too early", name), 0, float64(n.unanswered))
}
