// Package embedded is the in-process Redis of the embedded way to run. It stores
// nothing on disk, so it is empty at every start.
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

// Start starts a server with a random password, because other users of the machine
// reach the loopback address too.
func Start() (*Redis, error) {
	r := &Redis{server: miniredis.NewMiniRedis(), password: rand.Text()}
	r.server.ClockTTL(true) // keys age with the clock, as in a real server
	if err := r.server.Start(); err != nil {
		return nil, fmt.Errorf("start the in-process Redis: %w", err)
	}
	r.server.RequireAuth(r.password)
	return r, nil
}

// URL returns the URL of the server, with its password.
func (r *Redis) URL() usersync.Secret {
	return usersync.NewSecret("redis://:" + r.password + "@" + r.server.Addr() + "/0")
}

// Addr returns the host and port that the server listens on.
func (r *Redis) Addr() string { return r.server.Addr() }

// Close stops the server. Its contents are lost.
func (r *Redis) Close() { r.server.Close() }
