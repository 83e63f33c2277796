package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"usersync/internal/connector"
	"usersync/internal/connector/fakeplatform"
	"usersync/internal/connectors"
	"usersync/internal/outbound"
	"usersync/internal/usersync"
)

// serve runs the command and returns its address and the connections it prints.
func serve(t *testing.T) (base string, printed []connection) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	read, write := io.Pipe()
	done := make(chan error, 1)
	go func() { done <- run(ctx, "127.0.0.1:0", write) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	lines := bufio.NewScanner(read)
	lines.Scan()
	_, rest, _ := strings.Cut(lines.Text(), " at ")
	base, _, _ = strings.Cut(rest, ",")
	for range connectors.Platforms {
		lines.Scan()
		var c connection
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			t.Fatalf("%s: %v", lines.Text(), err)
		}
		printed = append(printed, c)
	}
	return base, printed
}

func TestEveryPlatformIsServedAndControlled(t *testing.T) {
	t.Parallel()
	base, printed := serve(t)
	client := &outbound.Client{Guard: &outbound.Guard{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}}
	t.Cleanup(client.Close)
	for _, one := range printed {
		kind, known := connectors.Find(one.Platform)
		if !known {
			t.Fatalf("%s is no platform", one.Platform)
		}
		c, err := kind.Open(connector.Config{Credentials: one.Credentials, Settings: one.Settings}, &connector.Client{HTTP: client})
		if err != nil {
			t.Fatalf("%s: %v", one.Platform, err)
		}
		if _, err := c.Check(t.Context()); err != nil {
			t.Errorf("%s: %v", one.Platform, err)
		}
		state := control(t, base+"/_control/"+one.Platform, `[{"status":401}]`)
		if state.Calls == 0 {
			t.Errorf("%s: the check is not counted", one.Platform)
		}
		if _, err := c.Check(t.Context()); usersync.CodeOf(err) != usersync.CodeDisconnected {
			t.Errorf("%s with a fault: %v", one.Platform, err)
		}
	}
}

// control injects faults and returns what has been counted.
func control(t *testing.T, url, faults string) (state fakeplatform.State) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, url, strings.NewReader(faults))
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	if err := json.NewDecoder(answer.Body).Decode(&state); err != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("%s: %d, %v", url, answer.StatusCode, err)
	}
	return state
}

func TestAnAddressThatIsTakenIsAnError(t *testing.T) {
	t.Parallel()
	base, _ := serve(t)
	if err := run(t.Context(), strings.TrimPrefix(base, "http://"), io.Discard); err == nil {
		t.Error("serves at an address that is taken")
	}
}
