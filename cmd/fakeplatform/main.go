// Command fakeplatform serves the fake of every platform on one port, each below
// its name, and a control port below /_control: for demonstrations, end-to-end
// tests and load.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/signal"
	"syscall"
	"time"

	"usersync/internal/connector/fakeplatform"
	"usersync/internal/connectors/fakes"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:9100", "where to listen")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, *addr, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "fakeplatform:", err)
		os.Exit(1)
	}
}

const (
	readHeader = 10 * time.Second
	// grace is how long calls under way have after ctx has ended.
	grace = 5 * time.Second
)

// run serves until ctx ends.
func run(ctx context.Context, addr string, stdout io.Writer) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	platforms := fakes.New()
	welcome(stdout, baseOf(listener.Addr()), platforms)
	server := &http.Server{Handler: fakeplatform.New(platforms...), ReadHeaderTimeout: readHeader}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	if err := server.Shutdown(ending); err != nil {
		return errors.Join(err, server.Close())
	}
	return nil
}

// baseOf returns the URL of a listener as this machine reaches it.
func baseOf(addr net.Addr) string {
	at, err := netip.ParseAddrPort(addr.String())
	if err != nil || !at.Addr().IsUnspecified() {
		return "http://" + addr.String()
	}
	return fmt.Sprintf("http://127.0.0.1:%d", at.Port())
}

// connection is what makes a connection to a fake.
type connection struct {
	Platform    string          `json:"platform"`
	Name        string          `json:"name"`
	Credentials json.RawMessage `json:"credentials"`
	Settings    json.RawMessage `json:"settings"`
}

// welcome prints for each fake what makes a connection to it. Their credentials
// open nothing but the fakes.
func welcome(w io.Writer, base string, platforms []fakeplatform.Platform) {
	_, _ = fmt.Fprintf(w, "%d platforms at %s, controls at %s/_control/NAME; a connection to each:\n", len(platforms), base, base)
	for _, p := range platforms {
		cfg := p.Config()
		text, err := json.Marshal(connection{p.Name(), p.Name() + " (fake)", cfg.Credentials, withBase(cfg.Settings, base+"/"+p.Name())})
		if err != nil {
			text = []byte(p.Name() + ": " + err.Error())
		}
		_, _ = fmt.Fprintf(w, "%s\n", text)
	}
}

// withBase returns settings with another address of the platform.
func withBase(settings json.RawMessage, base string) json.RawMessage {
	values := map[string]any{}
	if len(settings) > 0 {
		if err := json.Unmarshal(settings, &values); err != nil {
			return settings // json.Marshal will tell
		}
	}
	values["baseUrl"] = base
	text, _ := json.Marshal(values) // it has just been decoded
	return text
}
