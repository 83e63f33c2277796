//go:build unix

// Command platforms measures bulk pushes: it runs the embedded service as a
// process of its own, connects it to fakes of the platforms, has all users
// synced, and prints how many calls and how much time and memory that took. With
// -kill it kills the service on the way, again and again.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"usersync/internal/connector/fakeplatform"
	"usersync/internal/connectors/fakes"
)

var (
	users    = flag.Int("users", 10_000, "users to sync")
	latency  = flag.Duration("latency", 100*time.Millisecond, "what every call to a platform takes")
	kills    = flag.Int("kill", 0, "how often the service is killed while it pushes")
	platform = flag.String("platforms", "mailchimp,sendgrid", "platforms to push to, one after the other")
)

func main() {
	flag.Parse()
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "usersync-platforms-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	s := &service{dir: dir, token: strings.Repeat("t", 40), server: fakeplatform.New(fakes.New()...)}
	listener := httptest.NewServer(s.server)
	defer listener.Close()
	s.platforms = listener.URL
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", s.binary(), "./cmd/usersync").CombinedOutput(); err != nil {
		return fmt.Errorf("build: %w\n%s", err, out)
	}
	if err := s.start(ctx); err != nil {
		return err
	}
	defer s.kill()
	if err := s.makeUsers(ctx); err != nil {
		return err
	}
	fmt.Printf("%d users, %s a call, %d kills\n\n", *users, *latency, *kills)
	fmt.Println("| platform | seconds | calls | calls per 1,000 users | most at once | written more than once | peak RSS MiB |")
	fmt.Println("|---|---|---|---|---|---|---|")
	for name := range strings.SplitSeq(*platform, ",") {
		if err := s.measure(ctx, name); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// service is the embedded service with one organization.
type service struct {
	dir, token, key string
	base, platforms string
	server          *fakeplatform.Server
	cmd             *exec.Cmd
	peak            int64 // KiB, of all its lives
}

func (s *service) binary() string { return filepath.Join(s.dir, "usersync") }

// start starts the service and waits until it answers.
func (s *service) start(ctx context.Context) error {
	s.cmd = exec.CommandContext(ctx, s.binary(), "serve")
	s.cmd.Env = append(os.Environ(), "ADDR=127.0.0.1:18473", "DATA_DIR="+filepath.Join(s.dir, "data"), "ADMIN_TOKEN="+s.token, "LOG_LEVEL=error")
	s.cmd.Stderr = os.Stderr
	s.base = "http://127.0.0.1:18473"
	if err := s.cmd.Start(); err != nil {
		return err
	}
	for until := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if _, err := s.call(ctx, "GET", "/readyz", "", nil); err == nil {
			return nil
		}
		if time.Now().After(until) {
			return errors.New("the service does not come up")
		}
	}
}

// kill ends the service at once, as a crash would.
func (s *service) kill() {
	s.note()
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
}

// note keeps the most memory that the service has used.
func (s *service) note() {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		return
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kib, _ := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			s.peak = max(s.peak, kib)
		}
	}
}

// call makes a call and returns the answer's body.
func (s *service) call(ctx context.Context, method, path, auth string, body any) ([]byte, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, method, s.base+path, bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+auth)
	req.Header.Set("Prefer", "respond-async")
	response, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(response.Body)
	if response.StatusCode >= 300 {
		return nil, fmt.Errorf("%s %s: %d %s", method, path, response.StatusCode, answer)
	}
	return answer, err
}

// makeUsers makes an organization and sends its users, who are not searched for
// colleagues.
func (s *service) makeUsers(ctx context.Context) error {
	var organization, key struct{ ID, Key string }
	answer, err := s.call(ctx, "POST", "/admin/v1/organizations", s.token, map[string]any{"name": "Bulk", "settings": map[string]any{"colleaguesEnabled": false}})
	if err != nil {
		return err
	}
	if err := json.Unmarshal(answer, &organization); err != nil {
		return err
	}
	at := "/admin/v1/organizations/" + organization.ID
	if _, err := s.call(ctx, "POST", at+"/credits", s.token, map[string]any{"amount": 1, "reference": "first"}); err != nil {
		return err
	}
	if answer, err = s.call(ctx, "POST", at+"/api-keys", s.token, map[string]any{"name": "bulk", "scopes": []string{"*"}}); err != nil {
		return err
	}
	if err := json.Unmarshal(answer, &key); err != nil {
		return err
	}
	s.key = key.Key
	const batch = 1000
	for from := 0; from < *users; from += batch {
		var list []map[string]any
		for i := from; i < min(from+batch, *users); i++ {
			list = append(list, map[string]any{"email": address(i), "country": "US", "firstName": "Given", "lastName": "Family"})
		}
		fmt.Fprintf(os.Stderr, "\r%d of %d users sent   ", from, *users)
		if _, err := s.call(ctx, "POST", "/v1/user-sync/batch", s.key, map[string]any{"users": list}); err != nil {
			return err
		}
	}
	return s.settled(ctx)
}

// settled waits until the users' own requests have ended: they would be pushed
// beside the bulk.
func (s *service) settled(ctx context.Context) error {
	for until := time.Now().Add(30 * time.Minute); time.Now().Before(until); time.Sleep(time.Second) {
		open := 0
		for _, status := range []string{"queued", "processing"} {
			var page struct{ Items []json.RawMessage }
			answer, err := s.call(ctx, "GET", "/v1/requests?limit=1&status="+status, s.key, nil)
			if err != nil {
				return err
			}
			if err := json.Unmarshal(answer, &page); err != nil {
				return err
			}
			open += len(page.Items)
		}
		if open == 0 {
			return nil
		}
	}
	return errors.New("the users' own requests do not end")
}

func address(i int) string { return fmt.Sprintf("person%d@analytical-engine.example", i) }

// measure connects a platform and has everybody synced there.
func (s *service) measure(ctx context.Context, name string) error {
	var fake fakeplatform.Platform
	for _, f := range fakes.New() {
		if f.Name() == name {
			fake = f
		}
	}
	if fake == nil {
		return errors.New("no such platform")
	}
	cfg := fake.Config()
	settings, credentials := map[string]any{}, map[string]any{}
	if err := errors.Join(json.Unmarshal(cfg.Settings, &settings), json.Unmarshal(cfg.Credentials, &credentials)); err != nil {
		return err
	}
	settings["baseUrl"] = s.platforms + "/" + name
	if _, err := s.call(ctx, "POST", "/v1/connections", s.key, map[string]any{"platform": name, "credentials": credentials, "settings": settings}); err != nil {
		return err
	}
	s.server.Slow(name, *latency)
	before, began := s.server.State(name), time.Now()
	var accepted struct {
		SyncID string `json:"sync_id"`
	}
	answer, err := s.call(ctx, "POST", "/api/marketing/sync-users", s.key, map[string]any{"platform": name, "sync_type": "all"})
	if err != nil {
		return err
	}
	if err := json.Unmarshal(answer, &accepted); err != nil {
		return err
	}
	if err := s.await(ctx, accepted.SyncID); err != nil {
		return err
	}
	took := time.Since(began).Seconds()
	s.note()
	after := s.server.State(name)
	calls := after.Calls - before.Calls
	fmt.Printf("| %s | %.1f | %d | %.1f | %d | %d | %d |\n", name, took, calls, float64(calls)*1000/float64(*users), after.MaxAtOnce,
		s.again(name), s.peak/1024)
	return nil
}

// await waits until a bulk is done, killing the service on the way, and shows
// the progress.
func (s *service) await(ctx context.Context, id string) error {
	var report struct {
		Status   string
		Progress struct{ Total, Done, Errors int64 }
	}
	killed := 0
	for until := time.Now().Add(30 * time.Minute); time.Now().Before(until); time.Sleep(100 * time.Millisecond) {
		answer, err := s.call(ctx, "GET", "/v1/requests/"+id, s.key, nil)
		if err != nil {
			return err
		}
		if err := json.Unmarshal(answer, &report); err != nil {
			return err
		}
		fmt.Fprintf(os.Stderr, "\r%s: %d of %d   ", report.Status, report.Progress.Done, report.Progress.Total)
		switch {
		case report.Status == "succeeded" && report.Progress.Done == int64(*users):
			fmt.Fprintln(os.Stderr)
			return nil
		case report.Status == "failed" || report.Status == "partially_succeeded" || report.Status == "succeeded":
			return fmt.Errorf("the bulk ended %s: %s", report.Status, answer)
		case killed < *kills && report.Progress.Done > int64((killed+1)**users/(*kills+1)):
			killed++
			s.kill()
			if err := s.start(ctx); err != nil {
				return err
			}
		}
	}
	return errors.New("the bulk does not end")
}

// again counts the people that the platform was told of more than once.
func (s *service) again(name string) int {
	return s.server.WrittenAgain(name)
}
