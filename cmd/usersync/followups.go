package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"usersync/internal/management/followups"
	"usersync/internal/usersync"
)

func followUps() *cobra.Command {
	command := &cobra.Command{Use: "follow-ups", Short: "Try out follow-ups", Args: cobra.NoArgs}
	command.AddCommand(playFollowUps())
	return command
}

func playFollowUps() *cobra.Command {
	p := &play{}
	var key, base string
	command := &cobra.Command{
		Use:   "play FILE",
		Short: "Play a scenario of follow-ups against a running service, and print the story",
		Long: `Play a scenario of follow-ups against a running service, and print the story.

FILE is YAML: the follow-ups as an export has them, and events. The follow-ups are put in force, the events are reported,
and what comes of each is told as it happens. When all is over the follow-ups are paused. In the file ` + receiverVariable + ` stands
for the address of a server that runs while the scenario is played and shows what is sent to it, and ` + runVariable + ` for a
number that is another one each time. Without a key the one of the demo organization is taken from DATA_DIR.`,
		Example: "  usersync follow-ups play docs/welcome-series.yaml",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			key, err := playKey(key)
			if err != nil {
				return err
			}
			p.client = newPlayClient(strings.TrimRight(base, "/"), key)
			p.out = &teller{to: c.OutOrStdout(), began: time.Now()}
			ctx, stop := signal.NotifyContext(c.Context(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			return p.run(ctx, args[0])
		},
	}
	flags := command.Flags()
	flags.StringVar(&base, "url", "http://127.0.0.1:8080", "where the service is")
	flags.StringVar(&key, "key", "", "API key with the scopes events, manage and read; better: the environment variable "+keyVariable)
	flags.DurationVar(&p.within, "within", 5*time.Minute, "how long the story may take")
	return command
}

// playKey returns the key to play with: what was given, or that of the demo.
func playKey(given string) (usersync.Secret, error) {
	if key := cmp.Or(given, os.Getenv(keyVariable)); key != "" {
		return usersync.NewSecret(key), nil
	}
	file := filepath.Join(cmp.Or(os.Getenv("DATA_DIR"), "./usersync-data"), "demo-key")
	text, err := os.ReadFile(file) //nolint:gosec // the operator's own data directory
	if errors.Is(err, fs.ErrNotExist) {
		return usersync.Secret{}, fmt.Errorf("no API key: start the demo with `make run`, or set %s", keyVariable)
	}
	if err != nil {
		return usersync.Secret{}, fmt.Errorf("read the key of the demo: %w", err)
	}
	return usersync.NewSecret(strings.TrimSpace(string(text))), nil
}

const (
	receiverVariable = "$RECEIVER"
	runVariable      = "$RUN"
	// maxScenario bounds a file, in bytes.
	maxScenario = 1 << 20
)

// scenario is what a file has.
type scenario struct {
	FollowUps json.RawMessage `json:"followUps"`
	Events    []struct {
		// Event is the type, as in user/register, and Body what is reported.
		Event string         `json:"event"`
		Body  map[string]any `json:"body"`
	} `json:"events"`
}

// readScenario reads a file with its variables filled in.
func readScenario(file, receiver string, run int64) (s scenario, err error) {
	info, err := os.Stat(file)
	if err != nil {
		return s, fmt.Errorf("find the scenario: %w", err)
	}
	if info.Size() > maxScenario {
		return s, fmt.Errorf("%s has more than %d bytes", file, maxScenario)
	}
	text, err := os.ReadFile(file) //nolint:gosec // the operator names it
	if err != nil {
		return s, fmt.Errorf("read the scenario: %w", err)
	}
	filled := strings.NewReplacer(receiverVariable, receiver, runVariable, strconv.FormatInt(run, 10)).Replace(string(text))
	encoded, err := followups.FromYAML([]byte(filled))
	if err != nil {
		return s, fmt.Errorf("%s: %w", file, err)
	}
	if err := json.Unmarshal(encoded, &s); err != nil {
		return s, fmt.Errorf("%s: %w", file, err)
	}
	if len(s.FollowUps) == 0 || len(s.Events) == 0 {
		return s, fmt.Errorf("%s must have followUps and events", file)
	}
	return s, nil
}

// play is a scenario on its way.
type play struct {
	client *playClient
	out    *teller
	within time.Duration
}

func (p *play) run(ctx context.Context, file string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, p.within, fmt.Errorf("the story did not end within %s", p.within))
	defer cancel()
	receiver, err := p.receive()
	if err != nil {
		return err
	}
	defer func() { _ = receiver.Close() }()
	s, err := readScenario(file, "http://"+receiver.Addr, time.Now().Unix())
	if err != nil {
		return err
	}
	made, err := p.client.install(ctx, s.FollowUps)
	if err != nil {
		return err
	}
	defer p.pause(ctx, made)
	for _, f := range made {
		p.out.say("%s is in force: %s, version %d", f.Name, f.ID, f.Version)
	}
	stories := make([]*story, len(s.Events))
	for i, e := range s.Events {
		id, err := p.client.report(ctx, e.Event, e.Body)
		if err != nil {
			return err
		}
		p.out.say("%s of %v: event %s", e.Event, e.Body["email"], id)
		stories[i] = newStory(p, id, e.Body["email"])
	}
	return p.follow(ctx, stories)
}

// lookEvery is how often the story is asked for.
const lookEvery = 200 * time.Millisecond

// follow tells the stories until all are over.
func (p *play) follow(ctx context.Context, stories []*story) error {
	for {
		open := 0
		for _, s := range stories {
			over, err := s.look(ctx)
			if err != nil {
				return err
			}
			if !over {
				open++
			}
		}
		if open == 0 {
			return verdict(stories)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(lookEvery):
		}
	}
}

// pause keeps the follow-ups from being set off by others, also where ctx has ended.
func (p *play) pause(ctx context.Context, made []installed) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	for _, f := range made {
		if err := p.client.pause(ctx, f.ID); err != nil {
			p.out.say("%s could not be paused: %v", f.Name, err)
		}
	}
}

// receive serves what stands for receiverVariable: it tells what comes and answers 200.
func (p *play) receive() (*http.Server, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for webhooks: %w", err)
	}
	server := &http.Server{Addr: listener.Addr().String(), Handler: http.HandlerFunc(p.take), ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = server.Serve(listener) }() // ends with Close
	return server, nil
}
