//go:build unix

package services

import (
	"cmp"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// ErrNoPostgres says how to get the PostgreSQL binaries.
var ErrNoPostgres = errors.New("PostgreSQL is not installed: apt-get install postgresql, or set TEST_DATABASE_URL")

// ErrNoRedis says how to get the Redis binary.
var ErrNoRedis = errors.New("Redis is not installed: apt-get install redis-server, or set TEST_REDIS_URL")

// ErrNoChromium says how to get the browser.
var ErrNoChromium = errors.New("Chromium is not installed: apt-get install chromium")

// debianBindirs is where Debian and Ubuntu keep the server binaries, which are
// not on the PATH there: one folder for each major version.
const debianBindirs = "/usr/lib/postgresql/*/bin"

// FindPostgres returns the folder that holds initdb, postgres and psql: the one
// behind the PATH, else the newest under /usr/lib/postgresql, else the one
// pg_config names. It returns ErrNoPostgres when there is none.
func FindPostgres() (bindir string, err error) {
	candidates := []string{bindirOnPath()}
	candidates = append(candidates, newestFirst(debianBindirs)...)
	candidates = append(candidates, configuredBindir())
	for _, dir := range candidates {
		if isBindir(dir) {
			return dir, nil
		}
	}
	return "", ErrNoPostgres
}

// FindRedis returns the path of redis-server, else of valkey-server. It returns
// ErrNoRedis when neither is on the PATH.
func FindRedis() (string, error) {
	for _, name := range []string{"redis-server", "valkey-server"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", ErrNoRedis
}

// FindChromium returns the path of the browser that the tests of the console drive. It
// returns ErrNoChromium when none is on the PATH.
func FindChromium() (string, error) {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", ErrNoChromium
}

// bindirOnPath follows initdb's links, because the PATH often holds a link to it
// alone and not to the other binaries.
func bindirOnPath() string {
	path, err := exec.LookPath("initdb")
	if err != nil {
		return ""
	}
	path, err = filepath.EvalSymlinks(path)
	if err != nil {
		return ""
	}
	return filepath.Dir(path)
}

func configuredBindir() string {
	out, err := exec.Command("pg_config", "--bindir").Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}

// newestFirst returns the folders a pattern like /x/*/bin matches, highest
// version first.
func newestFirst(pattern string) []string {
	dirs, err := filepath.Glob(pattern)
	if err != nil {
		return nil
	}
	version := func(dir string) float64 {
		v, _ := strconv.ParseFloat(filepath.Base(filepath.Dir(dir)), 64) // a folder that is no version sorts last
		return v
	}
	slices.SortFunc(dirs, func(a, b string) int { return cmp.Compare(version(b), version(a)) })
	return dirs
}

func isBindir(dir string) bool {
	if dir == "" {
		return false
	}
	for _, name := range []string{"initdb", "postgres", "psql"} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.IsDir() || info.Mode()&0o111 == 0 {
			return false
		}
	}
	return true
}
