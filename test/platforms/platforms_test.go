//go:build unix

package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"usersync/internal/connector"
	"usersync/internal/connector/fakeplatform"
	"usersync/internal/connectors"
)

// How long a few users take is not judged here.
func TestEverybodyArrivesAtEveryPlatform(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "page.md")
	if err := os.WriteFile(file, []byte("# T\n<!-- begin platforms -->\n<!-- end platforms -->\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	err := run(ctx, options{users: 30, platforms: all(), atOnce: len(all()), latency: time.Millisecond, job: time.Minute, within: 4 * time.Minute, page: file})
	if err != nil {
		t.Error(err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range connectors.Platforms {
		if !strings.Contains(string(text), "\n| "+k.Name+" | ") {
			t.Errorf("%s is missing in %s", k.Name, text)
		}
	}
}

func TestWhatIsNotAsItShouldBeIsNamed(t *testing.T) {
	t.Parallel()
	kind := connector.Platform{Name: "one", Limits: connector.Limits{Published: []connector.Window{{Calls: 10, In: time.Second}}}}
	counted := kind
	counted.Lanes = []connector.Lane{{Name: "slow", Limits: connector.Limits{Published: []connector.Window{{Calls: 1, In: time.Second}}}}}
	o := options{users: 100, latency: 100 * time.Millisecond}
	for want, one := range map[string]taken{
		"":                   {kind: kind, calls: 100, time: 13 * time.Second},
		"took 13.3 s":        {kind: kind, calls: 100, time: 13300 * time.Millisecond},
		"took 4.2 s":         {kind: kind, calls: 10, jobs: 2 * time.Second, time: 4200 * time.Millisecond},
		"imports take 9.0 s": {kind: counted, calls: 90, state: fakeplatform.State{ByLane: map[string]int{"slow": 0}}, time: 12 * time.Second},
		"imports take 5.9 s": {kind: counted, calls: 14, state: fakeplatform.State{ByLane: map[string]int{"slow": 5}}, time: 12 * time.Second},
		"3 of 100 users":     {kind: kind, calls: 100, time: time.Second, missing: 3},
		"2 calls were more":  {kind: kind, calls: 100, time: time.Second, state: fakeplatform.State{Over: 2}},
		"1 of 100 users":     {kind: connector.Platform{Name: "one"}, calls: 100, time: time.Hour, missing: 1},
	} {
		err := one.fault(o)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", want, err)
		}
	}
}
