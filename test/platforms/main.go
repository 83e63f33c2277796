//go:build unix

// Command platforms measures bulk pushes: it runs the embedded service as a process of its
// own, connects it to fakes of the platforms, which refuse what exceeds the platforms'
// published limits, and has all users synced to all platforms at once. It prints how many
// calls and how much time that took beside the time that the limits allow, and fails where
// somebody is missing or it took longer. With -kill it kills the service on the way, again
// and again.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http/httptest"
	"os"
	"strings"
	"time"

	"usersync/internal/connectors"
	"usersync/test/system"
)

// options are what is measured.
type options struct {
	// users are synced to each of platforms, to atOnce of them at the same time.
	users     int
	platforms []string
	atOnce    int
	// latency is what every call to a platform takes.
	latency time.Duration
	// kills is how often the service is killed on the way.
	kills int
	// job is what every import takes at a fake.
	job time.Duration
	// within bounds a measurement.
	within time.Duration
	// page is a file that the table is written into; "" for none.
	page string
}

func main() {
	o := options{}
	var names string
	flag.IntVar(&o.users, "users", 1500, "users to sync")
	flag.StringVar(&names, "platforms", strings.Join(all(), ","), "platforms to push to")
	flag.IntVar(&o.atOnce, "at-once", 1, "how many of them are pushed to at the same time: beside each other they share the processors")
	flag.DurationVar(&o.latency, "latency", 100*time.Millisecond, "what every call to a platform takes")
	flag.IntVar(&o.kills, "kill", 0, "how often the service is killed while it pushes; then only who arrived is judged")
	flag.DurationVar(&o.job, "job", 2*time.Second, "what every import takes at a platform")
	flag.DurationVar(&o.within, "within", 30*time.Minute, "bounds the measurement")
	flag.StringVar(&o.page, "write", "", "put the table into its place in this file")
	flag.Parse()
	o.platforms = strings.Split(names, ",")
	if err := run(context.Background(), o); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// all are the names of all platforms.
func all() []string {
	var names []string
	for _, k := range connectors.Platforms {
		names = append(names, k.Name)
	}
	return names
}

// run measures, prints and writes the table, and returns what was not as it should be.
func run(ctx context.Context, o options) error {
	dir, err := os.MkdirTemp("", "usersync-platforms-")
	if err != nil {
		return fmt.Errorf("make a directory for the service: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	p, err := newPlatforms(o.platforms)
	if err != nil {
		return err
	}
	listener := httptest.NewServer(p.server)
	defer listener.Close()
	p.base = listener.URL
	ctx, cancel := context.WithTimeout(ctx, o.within)
	defer cancel()
	s, err := newService(ctx, dir)
	if err != nil {
		return err
	}
	if err := s.start(ctx); err != nil {
		return err
	}
	defer s.kill()
	if err := s.makeUsers(ctx, o.users); err != nil {
		return err
	}
	taken, err := measureAll(ctx, s, p, o)
	if err != nil {
		return err
	}
	fmt.Print(page(taken, o))
	fmt.Printf("\nThe service used %d MiB at most.\n", s.used()>>20)
	if o.page != "" {
		if err := system.WritePlace(o.page, "platforms", page(taken, o)); err != nil {
			return err
		}
	}
	var faults []error
	for _, t := range taken {
		faults = append(faults, t.fault(o))
	}
	return errors.Join(faults...)
}
