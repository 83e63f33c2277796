package config

import (
	"log/slog"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"
)

const goodKeys = "k2345abc:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="

// deployed returns a right environment of a deployment with more lines added.
func deployed(more ...string) []string {
	return append([]string{
		"DATABASE_URL=postgres://usersync:hunter2@db.example.com:5432/usersync",
		"REDIS_URL=redis://:hunter3@redis.example.com:6379/0",
		"ADMIN_TOKEN=usa_0123456789abcdef",
		"SEALING_KEYS=" + goodKeys,
	}, more...)
}

func load(t *testing.T, environ ...string) *Config {
	t.Helper()
	c, err := Load(environ)
	if err != nil {
		t.Fatalf("Load: %v", err)
	}
	return c
}

func TestNothingSetRunsEmbedded(t *testing.T) {
	t.Parallel()
	c := load(t, "HOME=/root", "PATH=/bin", "=C:=odd")
	c.sources = nil
	want := &Config{
		Addr: "127.0.0.1:8080", DataDir: "./usersync-data", DatabaseMaxConns: 30, WorkerConcurrency: 16, MaxWaiting: 4096,
		ShutdownTimeout: 25 * time.Second, LogLevel: slog.LevelInfo,
		EgressAllow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")},
	}
	if !reflect.DeepEqual(c, want) {
		t.Errorf("got %+v, want %+v", c, want)
	}
	if !c.Embedded() {
		t.Error("not embedded")
	}
}

func TestBothURLsSetRunsDeployed(t *testing.T) {
	t.Parallel()
	c := load(t, deployed()...)
	if c.Embedded() || c.Addr != ":8080" || len(c.EgressAllow) != 0 {
		t.Errorf("got %+v", c)
	}
	if got := c.DatabaseURL.Reveal(); got != "postgres://usersync:hunter2@db.example.com:5432/usersync" {
		t.Errorf("DATABASE_URL is %q", got)
	}
}

func TestWorkerAlwaysHasAnOperationsAddress(t *testing.T) {
	t.Parallel()
	if got := load(t, deployed()...).WorkerOpsAddr(); got != ":9090" {
		t.Errorf("unset: got %q", got)
	}
	if got := load(t, deployed("OPS_ADDR=10.0.0.1:9191")...).WorkerOpsAddr(); got != "10.0.0.1:9191" {
		t.Errorf("set: got %q", got)
	}
}

func TestLoadTakesWhatIsSet(t *testing.T) {
	t.Parallel()
	c := load(t, "ADDR=:0", "OPS_ADDR=[::1]:9090", "DATA_DIR=/srv/data", "WORKER_CONCURRENCY=3", "LOG_LEVEL=DEBUG",
		"EGRESS_ALLOW=10.1.2.3/8, fd00::/8", "SHUTDOWN_TIMEOUT=1m", "DATABASE_MAX_CONNS=7", "INTAKE_MAX_WAITING=9",
		"ADMIN_TOKEN= 0123456789abcdef\n", "SEALING_KEYS="+goodKeys+","+goodKeys)
	c.sources = nil
	token, keys := c.AdminToken.Reveal(), c.SealingKeys.Reveal()
	want := &Config{
		Addr: ":0", OpsAddr: "[::1]:9090", DataDir: "/srv/data", WorkerConcurrency: 3, LogLevel: slog.LevelDebug,
		EgressAllow:     []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")},
		ShutdownTimeout: time.Minute, DatabaseMaxConns: 7, MaxWaiting: 9,
		AdminToken: c.AdminToken, SealingKeys: c.SealingKeys,
	}
	if !reflect.DeepEqual(c, want) {
		t.Errorf("got %+v, want %+v", c, want)
	}
	if token != "0123456789abcdef" || keys != goodKeys+","+goodKeys {
		t.Errorf("secrets are %q and %q", token, keys)
	}
}

func TestEgressAllowNoneAllowsNoPrivateNetwork(t *testing.T) {
	t.Parallel()
	if got := load(t, "EGRESS_ALLOW=none").EgressAllow; len(got) != 0 {
		t.Errorf("got %v", got)
	}
}

func TestLoadReportsTheFaultOfAValue(t *testing.T) {
	t.Parallel()
	tests := []struct{ line, want string }{
		{"ADDR=foo", `ADDR: "foo" is not host:port; expected e.g. 127.0.0.1:8080`},
		{"ADDR=127.0.0.1:http", `ADDR: "127.0.0.1:http" is not host:port; expected e.g. 127.0.0.1:8080`},
		{"ADDR=http://h:80", `ADDR: "http://h:80" is not host:port; expected e.g. 127.0.0.1:8080`},
		{"OPS_ADDR=127.0.0.1:8080", `OPS_ADDR: "127.0.0.1:8080" is not host:port other than ADDR; expected e.g. 127.0.0.1:9090`},
		{"DATABASE_MAX_CONNS=0", `DATABASE_MAX_CONNS: "0" is not a whole number from 1 to 1000; expected e.g. 30`},
		{"WORKER_CONCURRENCY=-1", `WORKER_CONCURRENCY: "-1" is not a whole number from 0 to 1000; expected e.g. 16`},
		{"WORKER_CONCURRENCY=many", `WORKER_CONCURRENCY: "many" is not a whole number from 0 to 1000; expected e.g. 16`},
		{"INTAKE_MAX_WAITING=0", `INTAKE_MAX_WAITING: "0" is not a whole number from 1 to 1000000; expected e.g. 4096`},
		{"SHUTDOWN_TIMEOUT=25", `SHUTDOWN_TIMEOUT: "25" is not a duration from 1s to 10m; expected e.g. 25s`},
		{"SHUTDOWN_TIMEOUT=11m", `SHUTDOWN_TIMEOUT: "11m" is not a duration from 1s to 10m; expected e.g. 25s`},
		{"LOG_LEVEL=loud", `LOG_LEVEL: "loud" is not debug, info, warn or error; expected e.g. info`},
		{"EGRESS_ALLOW=10.0.0.1", `EGRESS_ALLOW: "10.0.0.1" is not a comma-separated list of networks, or none; expected e.g. 10.20.0.0/16,fd00::/8`},
		{"EGRESS_ALLOW=::ffff:10.0.0.0/104", `EGRESS_ALLOW: "::ffff:10.0.0.0/104" is not a comma-separated list of networks, or none; expected e.g. 10.20.0.0/16,fd00::/8`},
		{"DATABASE_URL=mysql://u:pw@h/db", `DATABASE_URL: the value is not a PostgreSQL URL; expected e.g. postgres://usersync:password@db.example.com:5432/usersync`},
		{"REDIS_URL=redis.example.com:6379", `REDIS_URL: the value is not a redis://, rediss:// or redis-sentinel:// URL, or a comma-separated list of cluster nodes; expected e.g. redis://:password@redis.example.com:6379/0`},
		{"ADMIN_TOKEN=short", `ADMIN_TOKEN: the value is not at least 16 printable ASCII characters without spaces; expected e.g. a token from: usersync config keys`},
		{"ADMIN_TOKEN=has a space in its middle", `ADMIN_TOKEN: the value is not at least 16 printable ASCII characters without spaces; expected e.g. a token from: usersync config keys`},
		{"SEALING_KEYS=k2345abc:AAAA", `SEALING_KEYS: the value is not a comma-separated list of id:key, each id 8 characters of a-z2-7, each key 32 bytes in base64; expected e.g. keys from: usersync config keys`},
		{"SEALING_KEYS=K2345abc:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", `SEALING_KEYS: the value is not a comma-separated list of id:key, each id 8 characters of a-z2-7, each key 32 bytes in base64; expected e.g. keys from: usersync config keys`},
	}
	for _, tt := range tests {
		t.Run(tt.line, func(t *testing.T) {
			t.Parallel()
			// The right lines of a deployment around one wrong line: the last wins.
			environ := append(deployed("ADDR=127.0.0.1:8080"), tt.line)
			if _, err := Load(environ); err == nil || err.Error() != tt.want {
				t.Errorf("got  %v\nwant %s", err, tt.want)
			}
		})
	}
}

func TestLoadReportsAllFaultsAtOnce(t *testing.T) {
	t.Parallel()
	_, err := Load([]string{"DATABASE_URL=postgres://u:hunter2@h/db", "ADDR=foo", "LOG_LEVEL=loud"})
	want := `DATABASE_URL: is set and REDIS_URL is not; set both to run deployed or none to run embedded
ADDR: "foo" is not host:port; expected e.g. 127.0.0.1:8080
ADMIN_TOKEN: is required when deployed; make one with: usersync config keys
SEALING_KEYS: is required when deployed; make one with: usersync config keys
LOG_LEVEL: "loud" is not debug, info, warn or error; expected e.g. info`
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

func TestLoadRefusesOneURLAlone(t *testing.T) {
	t.Parallel()
	for _, empty := range []string{"DATABASE_URL", "REDIS_URL"} {
		_, err := Load(deployed(empty + "="))
		if err == nil || !strings.Contains(err.Error(), "and "+empty+" is not; set both to run deployed or none to run embedded") {
			t.Errorf("%s empty: got %v", empty, err)
		}
	}
}

func TestLoadTellsOfAPasswordThatIsNotEncodedAndShowsNothingOfIt(t *testing.T) {
	t.Parallel()
	const right = "postgres://a:b@db.example.com:5432/c"
	for _, password := range []string{"hun#ter2", "hun/ter2", "hun?ter2", "12/ter2", "12#ter2", "12?ter2", "hun@ter2", "h@n/ter2", "hun%ter2", "#", "?", "/"} {
		for name, environ := range map[string][]string{
			"DATABASE_URL": {"DATABASE_URL=postgres://root:" + password + "@db.example.com:5432/c?sslmode=disable", "REDIS_URL=redis://h:6379/0"},
			"REDIS_URL":    {"DATABASE_URL=" + right, "REDIS_URL=redis://:" + password + "@redis.example.com:6379/0"},
		} {
			_, err := Load(append(environ, "ADMIN_TOKEN="+strings.Repeat("x", 16), "SEALING_KEYS="+NewSealingKeys().Reveal()))
			if err == nil || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), "percent-encode") || !strings.Contains(err.Error(), "%2F") {
				t.Errorf("%s with %s: %v", name, password, err)
				continue
			}
			for _, part := range []string{"hun", "ter2", "root", "db.example.com:5432/c"} {
				if strings.Contains(err.Error(), part) {
					t.Errorf("%s with %s: %s is shown: %v", name, password, part, err)
				}
			}
		}
	}
	for _, fine := range []string{right, "postgres://a:%23%2F%3F%40%25@h/c", "postgres:///c?host=/run/postgresql", "postgresql://a@h/c?application_name=x@y"} {
		if _, err := Load([]string{"DATABASE_URL=" + fine, "REDIS_URL=redis://:%23%2F@h:6379/0", "ADMIN_TOKEN=" + strings.Repeat("x", 16), "SEALING_KEYS=" + NewSealingKeys().Reveal()}); err != nil {
			t.Errorf("%s: %v", fine, err)
		}
	}
}

func TestLoadTakesEveryFormOfRedisURL(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"redis://h:6379", "rediss://user:pw@h:6379/2", "redis-sentinel://:pw@s1:26379,s2:26379?master=main",
		"h1:6379,h2:6379,h3:6379", "redis://:pw@h1:6379,h2:6379", "rediss://h1:6379, rediss://h2:6379",
	} {
		if got := load(t, deployed("REDIS_URL="+text)...).RedisURL.Reveal(); got != text {
			t.Errorf("got %q, want %q", got, text)
		}
	}
}

func TestLoadRefusesWhatIsNoRedisURL(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"redis://", "http://h:6379", "h1:6379,h2", "h1:6379,", "h1:6379"} {
		if _, err := Load(deployed("REDIS_URL=" + text)); err == nil {
			t.Errorf("took %q", text)
		}
	}
}

func TestEveryFieldIsDocumented(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, f := range fields() {
		if f.is == "" || f.example == "" || f.help == "" {
			t.Errorf("%s: lacks one of the tags is, example, help", f.goName)
		}
		if seen[f.name] {
			t.Errorf("%s: name is taken twice", f.name)
		}
		seen[f.name] = true
	}
	exported := 0
	for _, f := range reflect.VisibleFields(reflect.TypeFor[Config]()) {
		if f.IsExported() && f.Name != "Version" {
			exported++
		}
	}
	if len(seen) != exported {
		t.Errorf("%d of %d fields have an env tag", len(seen), exported)
	}
	for name := range checks {
		if !seen[name] {
			t.Errorf("checks: %s names no field", name)
		}
	}
}

func TestEveryExampleIsRight(t *testing.T) {
	t.Parallel()
	for _, f := range fields() {
		if f.required != "" {
			continue // its example is the command that makes it
		}
		if _, err := Load(deployed(f.name + "=" + f.example)); err != nil {
			t.Errorf("%v", err)
		}
	}
}
