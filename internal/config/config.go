// Package config reads the settings of the service from the environment. It is
// the only importer of caarlos0/env.
package config

import (
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/caarlos0/env/v11"

	"usersync/internal/usersync"
)

//go:generate go test . -run TestConfigurationPageIsCurrent -update

// Config holds every setting. The tags of a field are its documentation:
//
//	env       name of the environment variable
//	is        what a value has to be, in words that follow "is not"
//	example   a value that is right
//	default   value when unset; embedded and deployed override it for one way of running
//	required  "deployed": must be set when the service runs deployed
//	help      meaning
//
// The package test fails on a field without them.
type Config struct {
	Addr    string `env:"ADDR" is:"host:port" example:"127.0.0.1:8080" embedded:"127.0.0.1:8080" deployed:":8080" help:"Where the API listens."`
	OpsAddr string `env:"OPS_ADDR" is:"host:port other than ADDR" example:"127.0.0.1:9090" help:"Where /healthz, /readyz, /metrics and the API description listen. When it is unset, they listen on ADDR; those of a worker process listen on :9090."`

	DataDir          string          `env:"DATA_DIR" is:"a directory" example:"/var/lib/usersync" default:"./usersync-data" help:"Where the embedded service keeps its database and secrets. A deployed service does not use it."`
	DatabaseURL      usersync.Secret `env:"DATABASE_URL" is:"a PostgreSQL URL" example:"postgres://usersync:password@db.example.com:5432/usersync" help:"The PostgreSQL database. Set it together with REDIS_URL to run deployed; leave both unset to run embedded."`
	DatabaseMaxConns int             `env:"DATABASE_MAX_CONNS" is:"a whole number from 1 to 1000" example:"30" default:"30" help:"How many connections one process opens to PostgreSQL at most; it needs 8 at least."`
	RedisURL         usersync.Secret `env:"REDIS_URL" is:"a redis://, rediss:// or redis-sentinel:// URL, or a comma-separated list of cluster nodes" example:"redis://:password@redis.example.com:6379/0" help:"The Redis or Valkey that carries the queue: single, Sentinel, or the nodes of a cluster separated by commas."`

	AdminToken  usersync.Secret `env:"ADMIN_TOKEN" is:"at least 16 printable ASCII characters without spaces" example:"a token from: usersync config keys" required:"deployed" help:"The bearer token of the operator API. The embedded service makes it at the first start and keeps it in DATA_DIR/admin-token."`
	SealingKeys usersync.Secret `env:"SEALING_KEYS" is:"a comma-separated list of id:key, each id 8 characters of a-z2-7, each key 32 bytes in base64" example:"keys from: usersync config keys" required:"deployed" help:"The keys that seal stored credentials. The first seals; the others still open what they sealed. The embedded service makes one at the first start and keeps it in DATA_DIR/sealing-keys."`

	WorkerConcurrency int            `env:"WORKER_CONCURRENCY" is:"a whole number from 0 to 1000" example:"16" default:"0" help:"How many delivery tasks of one organization a worker process works at the same time, 8 at least; of all organizations, twice as many. The other work follows: a quarter as many batches of requests, twice as many platform connections (32 at least), of one organization half of them, and an eighth as many imports and bulks. 0 means 16."`
	MaxWaiting        int            `env:"INTAKE_MAX_WAITING" is:"a whole number from 1 to 1000000" example:"4096" default:"4096" help:"How many requests of one organization may wait to be accepted in one process, and twice as many of all. When more wait, the answer is 503 with Retry-After."`
	ShutdownTimeout   time.Duration  `env:"SHUTDOWN_TIMEOUT" is:"a duration from 1s to 10m" example:"25s" default:"25s" help:"How long a stopping process may take to finish its work or hand it back."`
	EgressAllow       []netip.Prefix `env:"EGRESS_ALLOW" is:"a comma-separated list of networks, or none" example:"10.20.0.0/16,fd00::/8" embedded:"127.0.0.0/8,::1/128" deployed:"none" help:"The private networks that outgoing calls may reach; public addresses need no entry. The word none stands for no private network."`

	LogLevel slog.Level `env:"LOG_LEVEL" is:"debug, info, warn or error" example:"info" default:"info" help:"The least severe level that is logged."`

	// Version is the version of the program, set by the build.
	Version string `env:"-"`

	// sources says where each value comes from, by name of the variable.
	sources map[string]string
}

// noNetworks is what stands for an empty EGRESS_ALLOW: an empty variable means unset.
const noNetworks = "none"

// derivedConcurrency is what WORKER_CONCURRENCY 0 stands for. Tasks mostly wait
// for databases and platforms, so the number does not follow the processors.
const derivedConcurrency = 16

// workerOpsAddr is where a worker serves its operations routes when OPS_ADDR is
// unset: it has no ADDR to serve them on.
const workerOpsAddr = ":9090"

// minToken is the least length of ADMIN_TOKEN, in characters.
const minToken = 16

// checks are the rules a Go type does not express, by name of the variable.
// They run only on values that are set and could be read.
var checks = map[string]func(*Config) bool{
	"ADDR":     func(c *Config) bool { return isHostPort(c.Addr) },
	"OPS_ADDR": func(c *Config) bool { return isHostPort(c.OpsAddr) && c.OpsAddr != c.Addr },
	"DATABASE_URL": func(c *Config) bool {
		return isPostgresURL(c.DatabaseURL.Reveal()) && !isUnencoded(c.DatabaseURL.Reveal())
	},
	"DATABASE_MAX_CONNS": func(c *Config) bool { return isBetween(c.DatabaseMaxConns, 1, 1000) },
	"REDIS_URL":          func(c *Config) bool { return isRedisURL(c.RedisURL.Reveal()) && !isUnencoded(c.RedisURL.Reveal()) },
	"ADMIN_TOKEN":        func(c *Config) bool { return isToken(c.AdminToken.Reveal()) },
	"SEALING_KEYS":       func(c *Config) bool { return areSealingKeys(c.SealingKeys.Reveal()) },
	"WORKER_CONCURRENCY": func(c *Config) bool { return isBetween(c.WorkerConcurrency, 0, 1000) },
	"INTAKE_MAX_WAITING": func(c *Config) bool { return isBetween(c.MaxWaiting, 1, 1_000_000) },
	"SHUTDOWN_TIMEOUT":   func(c *Config) bool { return c.ShutdownTimeout >= time.Second && c.ShutdownTimeout <= 10*time.Minute },
}

// Load reads the settings from environ, lines of NAME=value as os.Environ
// returns them. A variable that is empty counts as unset. The error joins one
// line per fault, all faults at once, and shows no secret. Load touches no
// files: call EnsureSecrets before the service starts.
func Load(environ []string) (*Config, error) {
	given := named(environ)
	embedded := given["DATABASE_URL"] == "" && given["REDIS_URL"] == ""
	c := &Config{}
	values := c.inForce(given, embedded)
	unreadable, err := c.parse(values)
	if err != nil {
		return nil, err
	}
	if err := c.check(values, unreadable, embedded); err != nil {
		return nil, err
	}
	if c.WorkerConcurrency == 0 {
		c.WorkerConcurrency = derivedConcurrency
	}
	return c, nil
}

// Embedded reports whether everything runs in this process: neither
// DATABASE_URL nor REDIS_URL is set.
func (c *Config) Embedded() bool { return c.DatabaseURL.IsZero() && c.RedisURL.IsZero() }

// Database says for people which database it is: a URL without its password, or a directory.
func (c *Config) Database() string {
	if c.DatabaseURL.IsZero() {
		return c.DataDir
	}
	return maskSecret(c.DatabaseURL)
}

// WorkerOpsAddr returns where a worker process serves its operations routes.
func (c *Config) WorkerOpsAddr() string {
	if c.OpsAddr == "" {
		return workerOpsAddr
	}
	return c.OpsAddr
}

// named returns the non-empty variables by name; the last of equal names wins.
func named(environ []string) map[string]string {
	given := make(map[string]string, len(environ))
	for _, line := range environ {
		name, value, _ := strings.Cut(line, "=")
		given[name] = strings.TrimSpace(value)
	}
	return given
}

// inForce returns the text of every setting that has one, given or default, and
// notes where it comes from.
func (c *Config) inForce(given map[string]string, embedded bool) map[string]string {
	values := map[string]string{}
	for _, f := range fields() {
		c.note(f.name, sourceEnvironment)
		values[f.name] = given[f.name]
		if values[f.name] == "" {
			c.note(f.name, sourceDefault)
			values[f.name] = f.fallback(embedded)
		}
	}
	return values
}

// parse fills c and returns the struct fields whose text has the wrong type.
func (c *Config) parse(values map[string]string) (unreadable map[string]bool, err error) {
	unreadable = map[string]bool{}
	err = env.ParseWithOptions(c, env.Options{
		Environment: values,
		FuncMap:     map[reflect.Type]env.ParserFunc{reflect.TypeFor[[]netip.Prefix](): parseNetworks},
	})
	if err == nil {
		return unreadable, nil
	}
	all, ok := errors.AsType[env.AggregateError](err)
	if !ok {
		return nil, err
	}
	for _, one := range all.Errors {
		wrong, ok := errors.AsType[env.ParseError](one)
		if !ok {
			return nil, err
		}
		unreadable[wrong.Name] = true
	}
	return unreadable, nil
}

// check returns all faults, in the order of the fields.
func (c *Config) check(values map[string]string, unreadable map[string]bool, embedded bool) error {
	var faults []error
	if !embedded {
		faults = append(faults, bothOrNone(values))
	}
	for _, f := range fields() {
		switch {
		case values[f.name] == "":
			faults = append(faults, f.missing(embedded))
		case unreadable[f.goName] || !c.passes(f.name):
			faults = append(faults, f.wrong(values[f.name]))
		}
	}
	return errors.Join(faults...)
}

func (c *Config) passes(name string) bool {
	check, ok := checks[name]
	return !ok || check(c)
}

// bothOrNone refuses half a deployment, which would keep its data in two places.
func bothOrNone(values map[string]string) error {
	set, unset := "DATABASE_URL", "REDIS_URL"
	if values[set] == "" {
		set, unset = unset, set
	}
	if values[unset] != "" {
		return nil
	}
	return fmt.Errorf("%s: is set and %s is not; set both to run deployed or none to run embedded", set, unset)
}

func parseNetworks(text string) (any, error) {
	networks := []netip.Prefix{}
	if text == noNetworks {
		return networks, nil
	}
	for part := range strings.SplitSeq(text, ",") {
		network, err := netip.ParsePrefix(strings.TrimSpace(part))
		if err != nil {
			return nil, err
		}
		if network.Addr().Is4In6() {
			return nil, errors.New("write an IPv4 network as such: a mapped one contains no IPv4 address")
		}
		networks = append(networks, network.Masked())
	}
	return networks, nil
}

func isBetween(n, least, most int) bool { return n >= least && n <= most }

func isHostPort(text string) bool {
	host, port, err := net.SplitHostPort(text)
	if err != nil || strings.ContainsAny(host, " /@") {
		return false
	}
	_, err = strconv.ParseUint(port, 10, 16)
	return err == nil
}

func isPostgresURL(text string) bool {
	u, err := url.Parse(text)
	return err == nil && (u.Scheme == "postgres" || u.Scheme == "postgresql")
}

// isRedisURL looks at the outline only: the queue knows what its driver takes.
func isRedisURL(text string) bool {
	for _, scheme := range []string{"redis://", "rediss://", "redis-sentinel://"} {
		if rest, ok := strings.CutPrefix(text, scheme); ok {
			return rest != ""
		}
	}
	nodes := strings.Split(text, ",")
	for _, node := range nodes {
		if !isHostPort(strings.TrimSpace(node)) {
			return false
		}
	}
	return len(nodes) > 1
}

// isUnencoded reports whether the user name or password of a URL seems to hold a character
// that has a meaning in URLs: the password would be taken for the host, the path or the
// query.
func isUnencoded(text string) bool {
	_, rest, ok := strings.Cut(text, "://")
	if !ok {
		return false
	}
	if strings.Contains(rest, "#") {
		return true // no such URL has a fragment
	}
	authority, beyond := rest, ""
	if i := strings.IndexAny(rest, "/?"); i >= 0 {
		authority, beyond = rest[:i], rest[i:]
	}
	login, _, ok := cutLast(authority, "@")
	if !ok {
		return strings.Contains(beyond, "@")
	}
	path, _, _ := strings.Cut(beyond, "?")
	_, err := url.PathUnescape(login)
	return err != nil || strings.Contains(login, "@") || strings.Contains(path, "@")
}

func cutLast(text, separator string) (before, after string, found bool) {
	i := strings.LastIndex(text, separator)
	if i < 0 {
		return text, "", false
	}
	return text[:i], text[i+len(separator):], true
}

// isToken reports whether text can stand in an Authorization header and is long
// enough not to be guessed.
func isToken(text string) bool {
	for _, c := range []byte(text) {
		if c <= ' ' || c > '~' {
			return false
		}
	}
	return len(text) >= minToken
}

func areSealingKeys(text string) bool {
	for part := range strings.SplitSeq(text, ",") {
		id, key, _ := strings.Cut(strings.TrimSpace(part), ":")
		raw, err := base64.StdEncoding.DecodeString(key)
		if err != nil || len(raw) != sealingKeySize || !isSealingKeyID(id) {
			return false
		}
	}
	return true
}

func isSealingKeyID(id string) bool {
	return len(id) == sealingKeyIDSize && strings.Trim(id, "abcdefghijklmnopqrstuvwxyz234567") == ""
}
