package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "eval: %v\n", err)
		os.Exit(1)
	}
}

// run evaluates the cases of sets: folders of testdata, of which "." is testdata itself.
func run(ctx context.Context, sets []string) (err error) {
	if len(sets) == 0 {
		sets = allSets
	}
	dir, err := os.MkdirTemp("", "usersync-eval-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if people, ok := strings.CutPrefix(sets[0], "people="); ok {
		n, err := strconv.Atoi(people)
		if err != nil {
			return fmt.Errorf("people: %w", err)
		}
		return runMillion(ctx, dir, n)
	}
	r, err := evaluate(ctx, dir, sets)
	if err != nil {
		return err
	}
	return errors.Join(r.print(os.Stdout), r.err())
}

// allSets are the sets that are run when none is named.
var allSets = []string{".", "new"}

// evaluate runs the cases of sets in a database in dir.
func evaluate(ctx context.Context, dir string, sets []string) (r *report, err error) {
	var cases []*labelled
	for _, set := range sets {
		more, err := load(set)
		if err != nil {
			return nil, err
		}
		cases = append(cases, more...)
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
