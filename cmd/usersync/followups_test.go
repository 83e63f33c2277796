package main

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"usersync/internal/app"
	"usersync/internal/config"
)

// demoService runs the service with its demo, as `make run` does, and returns where it is.
func demoService(t *testing.T) (url, dir string) {
	t.Helper()
	dir = t.TempDir()
	cfg, err := config.Load([]string{"DATA_DIR=" + dir, "ADDR=127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	service, err := app.New(ctx, cfg, app.Options{Role: app.All, Demo: true, Log: slog.New(slog.DiscardHandler), Stdout: io.Discard})
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- service.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return service.Addr(), dir
}

// faster is a copy of a scenario with shorter waits.
func faster(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "scenario.yaml")
	short := strings.NewReplacer("for: 10s", "for: 2s", "for: 5s", "for: 3s").Replace(string(text))
	if err := os.WriteFile(out, []byte(short), 0o600); err != nil {
		t.Fatal(err)
	}
	return out
}

// The welcome series of the documentation is played against a fresh demo, with one command,
// and tells what each of its actions did.
func TestTheWelcomeSeriesIsPlayedInTheDemo(t *testing.T) {
	url, dir := demoService(t)
	t.Setenv("DATA_DIR", dir)
	t.Setenv(keyVariable, "")
	file := faster(t, "../../docs/welcome-series.yaml")
	for range 2 { // the second time too, though the follow-up is there
		var out bytes.Buffer
		command := followUps()
		command.SetOut(&out)
		command.SetArgs([]string{"play", file, "--url", url, "--within", (2 * time.Minute).String()})
		if err := command.ExecuteContext(t.Context()); err != nil {
			t.Fatalf("%v\n%s", err, out.String())
		}
		story := out.String()
		for _, want := range []string{
			"Welcome series is in force", "actions[0] wait, waiting until", "The condition holds", "actions[1].then[0] add-tag, done: Changed tags.welcomed",
			"platform mailchimp synced: User added", "platform sendgrid synced", "the receiver got POST /welcome {\"email\":\"jan.", "\"name\":\"Jan van der Berg\"}",
			"send-invitation, done: Invited", "Welcome series succeeded", "Welcome series ignored", "The condition does not hold",
		} {
			if !strings.Contains(story, want) {
				t.Errorf("the story lacks %q", want)
			}
		}
		if t.Failed() {
			t.Fatal(story)
		}
	}
}

func TestAScenarioThatCannotBePlayedSaysWhy(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"followUps: []\nevents: []\nmore: &a x": "anchors",
		"events: [{event: user/update}]":        "must have followUps and events",
		"followUps:\n- {":                       "is no YAML",
	} {
		file := filepath.Join(t.TempDir(), "s.yaml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := readScenario(file, "http://127.0.0.1:1", 1); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
	if _, err := readScenario("no-such-file", "", 1); err == nil {
		t.Error("a file that is not there is played")
	}
}
