package config

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"usersync/internal/usersync"
)

var update = flag.Bool("update", false, "write docs/configuration.md")

const pagePath = "../../docs/configuration.md"

func printed(t *testing.T, c *Config) string {
	t.Helper()
	var out strings.Builder
	if err := c.Print(&out); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestPrintShowsValuesAndWhereTheyComeFrom(t *testing.T) {
	t.Parallel()
	c := load(t, deployed("WORKER_CONCURRENCY=4", "EGRESS_ALLOW=10.0.0.0/8,fd00::/8", "LOG_LEVEL=WARN", "ADMIN_TOKEN=usa_secretsecretsec9876")...)
	c.Version = "v1.2.3"
	want := `# usersync v1.2.3, deployed: PostgreSQL and Redis
ADDR=:8080                                                           # default
OPS_ADDR=                                                            # default
DATA_DIR=./usersync-data                                             # default
DATABASE_URL=postgres://usersync:••••@db.example.com:5432/usersync   # environment
DATABASE_MAX_CONNS=30                                                # default
REDIS_URL=redis://:••••@redis.example.com:6379/0                     # environment
ADMIN_TOKEN=••••9876                                                 # environment
SEALING_KEYS=k2345abc:••••                                           # environment
WORKER_CONCURRENCY=4                                                 # environment
INTAKE_MAX_WAITING=4096                                              # default
SHUTDOWN_TIMEOUT=25s                                                 # default
EGRESS_ALLOW=10.0.0.0/8,fd00::/8                                     # environment
LOG_LEVEL=warn                                                       # environment
`
	if got := squeeze(printed(t, c)); got != squeeze(want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// squeeze leaves one space where the table has many.
func squeeze(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = strings.Join(strings.Fields(line), " ")
	}
	return strings.Join(lines, "\n")
}

func TestPrintNamesTheFileOfAKeptSecret(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := load(t, "DATA_DIR="+dir)
	if got := printed(t, c); strings.Count(got, "# made at the first start") != 2 {
		t.Errorf("before the first start: got\n%s", got)
	}
	if err := c.EnsureSecrets(); err != nil {
		t.Fatal(err)
	}
	got := printed(t, c)
	for _, file := range []string{"admin-token", "sealing-keys"} {
		if !strings.Contains(got, "# "+filepath.Join(dir, file)+"\n") {
			t.Errorf("%s is not named in\n%s", file, got)
		}
	}
}

func TestMaskSecretShowsNoPassword(t *testing.T) {
	t.Parallel()
	tests := []struct{ text, want string }{
		{"", ""},
		{"postgres://u@h/db", "postgres://u@h/db"},
		{"postgres://u:pw@h1:5432,h2:5432/db?sslmode=require&password=pw", "postgres://u:••••@h1:5432,h2:5432/db?sslmode=require&password=••••"},
		{"postgres://u:p%w@h/db", "postgres://••••"},
		{"postgres://u:12/pw@h/db", "postgres://••••"},
		{"postgres://u:12?pw@h/db", "postgres://••••"},
		{"postgres://u:12#pw@h/db", "postgres://••••"},
		{"redis://:pw@a:1,b:2", "redis://:••••@a:1,b:2"},
		{"redis://:p,w@a:1", "redis://:••••@a:1"},
		{"redis://:pw@a:1,redis://:pw2@b:2", "redis://:••••@a:1,redis://:••••@b:2"},
		{"redis://:p,pw@a:1,redis://b:2", "••••"},
		{"a:1,b:2", "a:1,b:2"},
		{"a:1,:pw@b:2", "••••"},
		{"redis-sentinel://:pw@s1:1,s2:2?master=main&sentinelpassword=pw", "redis-sentinel://:••••@s1:1,s2:2?master=main&sentinelpassword=••••"},
		{goodKeys + ", " + goodKeys, "k2345abc:••••,k2345abc:••••"},
		{"usa_abcdefghijkl", "••••ijkl"},
		{"a,b", "••••"},
	}
	for _, tt := range tests {
		if got := maskSecret(usersync.NewSecret(tt.text)); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.text, got, tt.want)
		}
	}
}

func TestConfigurationPageIsCurrent(t *testing.T) {
	t.Parallel()
	if *update {
		if err := os.WriteFile(pagePath, []byte(Markdown()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	page, err := os.ReadFile(pagePath)
	if err != nil {
		t.Fatal(err)
	}
	if string(page) != Markdown() {
		t.Error("docs/configuration.md is not what the tags of Config say; run: go generate ./internal/config")
	}
}
