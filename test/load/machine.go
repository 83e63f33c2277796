//go:build unix

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"usersync/test/services"
)

// fact is one line about the circumstances of a run.
type fact struct{ name, value string }

// describe tells where and with what the run happens.
func describe(ctx context.Context, d *database, redisURL string) ([]fact, error) {
	var postgresVersion, fsync string
	if err := d.QueryRowContext(ctx, "SELECT current_setting('server_version'), current_setting('fsync')").Scan(&postgresVersion, &fsync); err != nil {
		return nil, fmt.Errorf("ask PostgreSQL: %w", err)
	}
	redisFacts, err := askRedis(ctx, redisURL)
	if err != nil {
		return nil, fmt.Errorf("ask Redis: %w", err)
	}
	return []fact{
		{"date", time.Now().UTC().Format("2006-01-02 15:04 UTC")},
		{"commit", commit(ctx)},
		{"command", strings.Join(append([]string{"test/load"}, os.Args[1:]...), " ")},
		{"processor", fmt.Sprintf("%s, %d cores", cpuModel(readText("/proc/cpuinfo")), runtime.NumCPU())},
		{"memory", fmt.Sprintf("%.1f GiB", float64(services.ParseSizes(readText("/proc/meminfo"))["MemTotal"])/(1<<30))},
		{"kernel", strings.TrimSpace(readText("/proc/sys/kernel/osrelease"))},
		{"Go", runtime.Version()},
		{"PostgreSQL", postgresVersion + ", fsync " + fsync},
		{"Redis", redisFacts["redis_version"]},
		{"other work", otherWork(readText("/proc/loadavg"), runtime.NumCPU())},
	}, nil
}

// readText returns a file's text, "" where there is none: a fact that cannot be
// had is left blank.
func readText(name string) string {
	text, _ := os.ReadFile(name) //nolint:gosec // files of /proc named above
	return string(text)
}

func cpuModel(cpuinfo string) string {
	for line := range strings.Lines(cpuinfo) {
		name, value, _ := strings.Cut(line, ":")
		if strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}

// otherWork tells by the load average of the last minute whether the machine
// was at the run's disposal.
func otherWork(loadavg string, cores int) string {
	first, _, _ := strings.Cut(loadavg, " ")
	load, err := strconv.ParseFloat(first, 64)
	if err != nil {
		return "unknown"
	}
	if load > float64(cores)/2 {
		return fmt.Sprintf("load average %.1f before the run: the machine was shared, the figures are rough", load)
	}
	return fmt.Sprintf("load average %.1f before the run", load)
}

func commit(ctx context.Context) string {
	out, err := exec.CommandContext(ctx, "git", "describe", "--always", "--dirty").Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}

// askRedis returns what the server says of itself, and counts.
func askRedis(ctx context.Context, url string) (map[string]string, error) {
	o, err := redis.ParseURL(url)
	if err != nil {
		return nil, fmt.Errorf("read the address of Redis: %w", err)
	}
	client := redis.NewClient(o)
	defer func() { _ = client.Close() }()
	text, err := client.Info(ctx, "server", "stats", "commandstats").Result()
	facts := map[string]string{}
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		facts[name] = value
	}
	return facts, err
}
