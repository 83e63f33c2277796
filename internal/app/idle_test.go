package app_test

import (
	"math"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"usersync/internal/app"
	"usersync/internal/app/apptest"
	"usersync/internal/store/storetest"
	"usersync/internal/usersync"
)

// The bounds are twice the goals of docs/benchmarks.md for a deployment of one API and
// one worker, because what is seldom may fall into the seconds that are counted.
const (
	idleStatements = 2.0  // a second
	idleCommands   = 10.0 // a second
	idleFor        = 6 * time.Second
)

func TestAnIdleInstallationHardlyAsksItsServers(t *testing.T) {
	t.Parallel()
	redis := miniredis.NewMiniRedis()
	redis.ClockTTL(true)
	must(t, redis.Start())
	t.Cleanup(redis.Close)
	e := apptest.New(t, "deployed")
	e.Config.RedisURL = usersync.NewSecret("redis://" + redis.Addr() + "/0")
	e.Breaker = &storetest.Breaker{}
	e.Start(t, app.API)
	e.Start(t, app.Worker)
	time.Sleep(3 * time.Second) // what is done once at a start
	e.Breaker.Arm(math.MaxInt, false)
	before, began := redis.CommandCount(), time.Now()
	time.Sleep(idleFor) // what is measured is time
	seconds := time.Since(began).Seconds()
	statements, commands := float64(e.Breaker.Calls())/seconds, float64(redis.CommandCount()-before)/seconds
	t.Logf("idle, %.2f statements and %.2f commands a second", statements, commands)
	if statements > idleStatements {
		t.Errorf("%.1f statements a second with nothing to do, want at most %.1f", statements, idleStatements)
	}
	if commands > idleCommands {
		t.Errorf("%.1f commands at Redis a second with nothing to do, want at most %.1f", commands, idleCommands)
	}
}
