//go:build unix

package system

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"usersync/test/services"
)

// Deployment is two API processes and two workers on a PostgreSQL and a Redis
// of their own.
type Deployment struct {
	Postgres *services.Postgres
	Redis    *services.Redis
	// Env is what all programs, and the command line, are started with.
	Env     []string
	APIs    []*Program
	Workers []*Program
}

// Detour returns the address at which the programs find a server that listens
// on addr; name is postgres or redis.
type Detour func(name, addr string) string

// Straight is no detour.
func Straight(_, addr string) string { return addr }

// Deploy starts everything. settings go to all programs.
func Deploy(t *testing.T, via Detour, settings ...string) *Deployment {
	t.Helper()
	d := &Deployment{}
	var err error
	// Durable: a commit that was acknowledged must be there after a kill.
	d.Postgres, err = services.StartPostgres(t.Context(), services.PostgresOptions{Durable: true})
	Must(t, err)
	t.Cleanup(func() { _ = d.Postgres.Stop() })
	d.Redis, err = services.StartRedis(t.Context(), services.RedisOptions{})
	Must(t, err)
	t.Cleanup(func() { _ = d.Redis.Stop() })
	d.Env = append(secrets(t), settings...)
	d.Env = append(d.Env, "EGRESS_ALLOW=127.0.0.0/8,::1/128",
		"DATABASE_URL="+detour(t, d.Postgres.URL(), "postgres", via), "REDIS_URL="+detour(t, d.Redis.URL(), "redis", via))
	Output(t, d.Env, "migrate")
	for i := range 2 {
		addr := FreeAddr(t)
		d.APIs = append(d.APIs, NewProgram(t, fmt.Sprint("api ", i+1), addr, append([]string{"ADDR=" + addr}, d.Env...), "api"))
		addr = FreeAddr(t)
		d.Workers = append(d.Workers, NewProgram(t, fmt.Sprint("worker ", i+1), addr, append([]string{"OPS_ADDR=" + addr}, d.Env...), "worker"))
	}
	for _, p := range d.Programs() {
		p.Start(t)
	}
	return d
}

func detour(t *testing.T, address, name string, via Detour) string {
	t.Helper()
	u, err := url.Parse(address)
	Must(t, err)
	u.Host = via(name, u.Host)
	return u.String()
}

// Programs returns all processes of ours.
func (d *Deployment) Programs() []*Program {
	return append(append([]*Program{}, d.APIs...), d.Workers...)
}

// Bases returns where the API processes are called.
func (d *Deployment) Bases() []string {
	var out []string
	for _, p := range d.APIs {
		out = append(out, "http://"+p.Ops)
	}
	return out
}

// secrets returns the settings that `usersync config keys` makes.
func secrets(t *testing.T) []string {
	t.Helper()
	var env []string
	for line := range strings.Lines(string(Output(t, nil, "config", "keys"))) {
		if line = strings.TrimSpace(line); strings.Contains(line, "=") && !strings.HasPrefix(line, "#") {
			env = append(env, line)
		}
	}
	if len(env) != 2 {
		t.Fatalf("config keys printed %d settings, want ADMIN_TOKEN and SEALING_KEYS", len(env))
	}
	return env
}

// Tenant makes an organization with so many credits, a key for everything and an
// endpoint for its receiver.
func (d *Deployment) Tenant(t *testing.T, name string, credits int) *Tenant {
	t.Helper()
	n := NewTenant(t, NewAccount(t, d.Env, name), d.Env, d.Bases()...)
	if credits > 0 {
		n.TopUp(t, credits)
	}
	n.Subscribe(t)
	return n
}
