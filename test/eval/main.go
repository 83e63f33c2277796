package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "eval: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) (err error) {
	dir, err := os.MkdirTemp("", "usersync-eval-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	r, err := evaluate(ctx, dir)
	if err != nil {
		return err
	}
	return errors.Join(r.print(os.Stdout), r.err())
}

// evaluate runs all cases in a database in dir.
func evaluate(ctx context.Context, dir string) (r *report, err error) {
	cases, err := load()
	if err != nil {
		return nil, err
	}
	w, err := newWorld(ctx, dir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, w.close()) }()
	r = &report{}
	for _, c := range cases {
		result, err := w.run(ctx, c)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.place, err)
		}
		t, faults := judge(c, result)
		r.take(c, t, faults)
	}
	return r, nil
}
