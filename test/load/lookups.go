//go:build unix

package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"usersync/test/services"
	"usersync/test/system"
)

const (
	// lookupRate is how many look-ups a second there are, of what the contract asks for.
	lookupRate = 500
	// lookupCallers wait for answers at most.
	lookupCallers = 64
	// lookupGoal is the contract's bound of the slowest in a hundred, in milliseconds.
	lookupGoal = 5
	// leastLookups are timed: of fewer, one in a hundred says little.
	leastLookups = 10 * time.Second
)

// lookups measures look-ups that touch only our store, at a steady rate.
func (b *bench) lookups(ctx context.Context) error { return b.eachWay(ctx, "lookup", b.lookupsOne) }

func (b *bench) lookupsOne(ctx context.Context, p *product) error {
	token, err := p.openLookups(ctx)
	if err != nil {
		return err
	}
	client := system.NewClient("", "http://"+p.addr)
	client.Header = http.Header{
		"Authorization": {"Bearer " + token}, "X-Sourcesystem": {"load"}, "X-Clientgroupcode": {"G"}, "X-Clientcode": {"C"}, "X-Papercode": {"P"},
	}
	addresses, err := p.addresses(ctx)
	if err != nil {
		return err
	}
	if _, err := lookUp(ctx, client, addresses, 2*time.Second); err != nil { // warms up
		return err
	}
	took, err := lookUp(ctx, client, addresses, max(b.measure, leastLookups))
	if err != nil {
		return errors.Join(err, p.firstEnd())
	}
	what := p.name + ", look-ups at " + strconv.Itoa(lookupRate) + "/s"
	b.report.timed(what, lookupCallers, lookupRate, took, fmt.Sprintf("%d look-ups of %d users", len(took), len(addresses)))
	b.report.goalAtMost(what+": p99 in ms", lookupGoal, inMillis(percentile(took, 99)))
	return nil
}

// openLookups gives the organization codes and an issuer, and returns a token.
func (p *product) openLookups(ctx context.Context) (string, error) {
	secret := rand.Text() + rand.Text()
	err := p.operator.Ask(ctx, http.MethodPatch, "/admin/v1/organizations/"+p.tenant.id, map[string]any{
		"tenant":   map[string]any{"clientGroupCode": "G", "clientCode": "C", "paperCode": "P"},
		"settings": map[string]any{"jwt": map[string]any{"algorithms": []string{"HS256"}, "issuer": "load", "audience": "load", "secret": secret}},
	}, nil)
	if err != nil {
		return "", err
	}
	return jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{"iss": "load", "aud": "load", "exp": time.Now().Add(time.Hour).Unix()}).SignedString([]byte(secret))
}

// addresses returns those of up to 500 users.
func (p *product) addresses(ctx context.Context) (list []string, err error) {
	var page struct{ Items []struct{ Email string } }
	if err := system.NewClient(p.tenant.key, "http://"+p.addr).Ask(ctx, http.MethodGet, "/v1/users?limit=500", nil, &page); err != nil {
		return nil, err
	}
	for _, one := range page.Items {
		list = append(list, one.Email)
	}
	if len(list) == 0 {
		return nil, errors.New("there are no users to look up")
	}
	return list, nil
}

// lookUp looks users up for a time, each look-up when it is due, and returns how long
// each took from then on, sorted.
func lookUp(ctx context.Context, client *system.Client, addresses []string, length time.Duration) ([]time.Duration, error) {
	due, began := evenly(lookupRate), time.Now()
	var next atomic.Int64
	var all sync.WaitGroup
	var mu sync.Mutex
	var took []time.Duration
	var failed error
	for range lookupCallers {
		all.Go(func() {
			for ctx.Err() == nil {
				i := next.Add(1) - 1
				at := began.Add(due(i))
				if at.Sub(began) >= length {
					return
				}
				_ = services.Sleep(ctx, time.Until(at)) // the loop sees that ctx ended
				answer, err := client.Do(ctx, system.Call{Method: http.MethodGet, Path: "/v4/Users?email=" + url.QueryEscape(addresses[int(i)%len(addresses)])})
				if err == nil && answer.Status != http.StatusOK {
					err = fmt.Errorf("a look-up was answered with %d: %s", answer.Status, answer.Body)
				}
				mu.Lock()
				took = append(took, time.Since(at))
				failed = errors.Join(failed, err)
				stop := failed != nil
				mu.Unlock()
				if stop {
					return
				}
			}
		})
	}
	all.Wait()
	slices.Sort(took)
	return took, failed
}
