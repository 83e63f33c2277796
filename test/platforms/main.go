//go:build unix

// Command platforms measures bulk pushes: it runs the embedded service as a
// process of its own, connects it to fakes of the platforms, has all users
// synced, and prints how many calls and how much time and memory that took. With
// -kill it kills the service on the way, again and again.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"usersync/internal/config"
	"usersync/internal/connector/fakeplatform"
	"usersync/internal/connectors/fakes"
	"usersync/test/services"
	"usersync/test/system"
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
		return fmt.Errorf("make a directory for the service: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	s, err := newService(ctx, dir)
	if err != nil {
		return err
	}
	listener := httptest.NewServer(s.server)
	defer listener.Close()
	s.platforms = listener.URL
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
	programs  system.Programs
	addr      string
	env       []string
	log       string
	process   *services.Process
	client    *system.Client // of the organization; nil before makeUsers
	operator  *system.Client
	platforms string
	server    *fakeplatform.Server
	peak      int64 // bytes, of all its lives
}

func newService(ctx context.Context, dir string) (*service, error) {
	programs, err := system.Build(ctx, dir, "usersync")
	if err != nil {
		return nil, err
	}
	addr, err := services.FreeAddr()
	if err != nil {
		return nil, err
	}
	token := config.NewAdminToken().Reveal()
	return &service{
		programs: programs, addr: addr, log: filepath.Join(dir, "log"),
		env:      []string{"ADDR=" + addr, "DATA_DIR=" + filepath.Join(dir, "data"), "ADMIN_TOKEN=" + token, "LOG_LEVEL=error"},
		operator: system.NewOperator(token, "http://"+addr), server: fakeplatform.New(fakes.New()...),
	}, nil
}

// start starts the service and waits until it answers.
func (s *service) start(ctx context.Context) (err error) {
	cmd := exec.Command(s.programs.Path("usersync"), "serve") //nolint:gosec // the program that this run built
	cmd.Env = services.Environment(s.env...)
	if s.process, err = services.StartProcess("usersync", cmd, s.log); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if err := s.process.AwaitReady(ctx, services.Answers("http://"+s.addr+"/readyz")); err != nil {
		s.kill()
		return err
	}
	return nil
}

// kill ends the service at once, as a crash would.
func (s *service) kill() {
	s.note()
	_ = s.process.Kill() // a signal to a child of ours does not fail
}

// note keeps the most memory that the service has used.
func (s *service) note() {
	if used, err := services.UsageOf(s.process.PID()); err == nil { // else it has ended
		s.peak = max(s.peak, used.Peak)
	}
}

// endWithin bounds what is waited for.
const endWithin = 30 * time.Minute

// makeUsers makes an organization and sends its users, who are not searched for
// colleagues.
func (s *service) makeUsers(ctx context.Context) error {
	account, err := s.programs.NewAccount(ctx, s.env, "Bulk")
	if err != nil {
		return err
	}
	if err := s.programs.TopUp(ctx, s.env, account.Organization, 1); err != nil {
		return err
	}
	if err := s.operator.Configure(ctx, account.Organization, map[string]any{"colleaguesEnabled": false}); err != nil {
		return err
	}
	s.client = system.NewClient(account.Key, "http://"+s.addr)
	s.client.Header.Set("Prefer", "respond-async")
	const batch = 1000
	for from := 0; from < *users; from += batch {
		var list []system.User
		for i := from; i < min(from+batch, *users); i++ {
			list = append(list, system.User{Email: address(i), Country: "US", FirstName: "Given", LastName: "Family"})
		}
		fmt.Fprintf(os.Stderr, "\r%d of %d users sent   ", from, *users)
		answer, accepted, err := s.client.Insist(ctx, endWithin, system.BatchCall(list...), system.HeedRetryAfter)
		if err != nil {
			return err
		}
		if !accepted {
			return fmt.Errorf("send users: answered with %d %s", answer.Status, answer.Body)
		}
	}
	return s.settled(ctx)
}

// settled waits until the users' own requests have ended: they would be pushed
// beside the bulk.
func (s *service) settled(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, endWithin)
	defer cancel()
	err := services.Poll(ctx, time.Second, func() (bool, error) {
		open := 0
		for _, status := range []string{"queued", "processing"} {
			var page struct{ Items []json.RawMessage }
			if err := s.client.Ask(ctx, http.MethodGet, "/v1/requests?limit=1&status="+status, nil, &page); err != nil {
				return false, err
			}
			open += len(page.Items)
		}
		return open == 0, nil
	})
	if err != nil {
		return fmt.Errorf("wait for the end of the users' own requests: %w", err)
	}
	return nil
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
		return fmt.Errorf("decode the configuration of the fake: %w", err)
	}
	settings["baseUrl"] = s.platforms + "/" + name
	if err := s.client.Ask(ctx, http.MethodPost, "/v1/connections", map[string]any{"platform": name, "credentials": credentials, "settings": settings}, nil); err != nil {
		return err
	}
	s.server.Slow(name, *latency)
	before, began := s.server.State(name), time.Now()
	var accepted struct {
		SyncID string `json:"sync_id"`
	}
	if err := s.client.Ask(ctx, http.MethodPost, "/api/marketing/sync-users", map[string]any{"platform": name, "sync_type": "all"}, &accepted); err != nil {
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
		s.server.WrittenAgain(name), s.peak>>20)
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
	ctx, cancel := context.WithTimeout(ctx, endWithin)
	defer cancel()
	err := services.Poll(ctx, 100*time.Millisecond, func() (bool, error) {
		if err := s.client.Ask(ctx, http.MethodGet, "/v1/requests/"+id, nil, &report); err != nil {
			return false, err
		}
		fmt.Fprintf(os.Stderr, "\r%s: %d of %d   ", report.Status, report.Progress.Done, report.Progress.Total)
		switch {
		case report.Status == "succeeded" && report.Progress.Done == int64(*users):
			fmt.Fprintln(os.Stderr)
			return true, nil
		case report.Status == "failed" || report.Status == "partially_succeeded" || report.Status == "succeeded":
			return false, fmt.Errorf("it ended %s: %+v", report.Status, report.Progress)
		case killed < *kills && report.Progress.Done > int64((killed+1)**users/(*kills+1)):
			killed++
			s.kill()
			return false, s.start(ctx)
		}
		return false, nil
	})
	if err != nil {
		return fmt.Errorf("wait for the end of the bulk: %w", err)
	}
	return nil
}
