//go:build unix

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"usersync/internal/config"
	"usersync/test/services"
	"usersync/test/system"
)

// service is the embedded service with one organization.
type service struct {
	programs system.Programs
	addr     string
	env      []string
	log      string
	client   *system.Client // of the organization; nil before makeUsers
	operator *system.Client

	mu      sync.Mutex // guards what follows
	process *services.Process
	peak    int64 // bytes, of all its lives
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
		operator: system.NewOperator(token, "http://"+addr),
	}, nil
}

// start starts the service and waits until it answers.
func (s *service) start(ctx context.Context) error {
	cmd := exec.Command(s.programs.Path("usersync"), "serve") //nolint:gosec // the program that this run built
	cmd.Env = services.Environment(s.env...)
	process, err := services.StartProcess("usersync", cmd, s.log)
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.process = process
	s.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if err := process.AwaitReady(ctx, services.Answers("http://"+s.addr+"/readyz")); err != nil {
		s.kill()
		return err
	}
	return nil
}

// kill ends the service at once, as a crash would.
func (s *service) kill() {
	s.used()
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.process.Kill() // a signal to a child of ours does not fail
}

// used returns the most memory that the service has used so far, in bytes.
func (s *service) used() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if used, err := services.UsageOf(s.process.PID()); err == nil { // else it has ended
		s.peak = max(s.peak, used.Peak)
	}
	return s.peak
}

// acceptedWithin bounds how long users are sent until the service takes them.
const acceptedWithin = 10 * time.Minute

// makeUsers makes an organization and sends its users, who are not searched for
// colleagues.
func (s *service) makeUsers(ctx context.Context, users int) error {
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
	for from := 0; from < users; from += batch {
		var list []system.User
		for i := from; i < min(from+batch, users); i++ {
			list = append(list, system.User{Email: address(i), Country: "US", FirstName: "Given", LastName: "Family"})
		}
		fmt.Fprintf(os.Stderr, "\r%d of %d users sent   ", from, users)
		answer, accepted, err := s.client.Insist(ctx, acceptedWithin, system.BatchCall(list...), system.HeedRetryAfter)
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

// address is that of a user, by number.
func address(i int) string { return fmt.Sprintf("person%d@analytical-engine.example", i) }
