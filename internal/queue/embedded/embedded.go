// Package embedded is the in-process Redis of the embedded way to run. It
// keeps nothing: it is empty at every start.
package embedded

import (
	"crypto/rand"
	"fmt"

	"github.com/alicebob/miniredis/v2"

	"usersync/internal/usersync"
)

// Redis is a Redis server inside this process, on a free loopback port.
type Redis struct {
	server   *miniredis.Miniredis
	password string
}

// Start starts a server that only who knows its URL can use: other users of
// the machine reach the loopback too.
func Start() (*Redis, error) {
	r := &Redis{server: miniredis.NewMiniRedis(), password: rand.Text()}
	r.server.ClockTTL(true) // keys age with the clock, as in a real server
	if err := r.server.Start(); err != nil {
		return nil, fmt.Errorf("start the in-process Redis: %w", err)
	}
	r.server.RequireAuth(r.password)
	return r, nil
}

// URL returns what to connect with.
func (r *Redis) URL() usersync.Secret {
	return usersync.NewSecret("redis://:" + r.password + "@" + r.server.Addr() + "/0")
}

// Addr returns host and port the server listens on.
func (r *Redis) Addr() string { return r.server.Addr() }

// Close stops the server; what it held is gone.
func (r *Redis) Close() { r.server.Close() }
