package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"usersync/internal/colleague"
)

// Floors of the figures, in percent: what is reached now, so that a change for
// the worse is noticed.
const (
	precisionFloor = 99.2
	recallFloor    = 99.4
)

// tally counts what was said of people, and cases.
type tally struct {
	right, wrong, missed int // said rightly, said wrongly, not said
	cases, passed        int
	limits               int // cases that are known to fail
}

func (t *tally) add(other tally) {
	t.right, t.wrong, t.missed = t.right+other.right, t.wrong+other.wrong, t.missed+other.missed
	t.cases, t.passed, t.limits = t.cases+other.cases, t.passed+other.passed, t.limits+other.limits
}

// precision is how much of what was said is right, in percent.
func (t tally) precision() float64 { return percent(t.right, t.right+t.wrong) }

// recall is how much of what should be said was said, in percent.
func (t tally) recall() float64 { return percent(t.right, t.right+t.missed) }

func percent(part, whole int) float64 {
	if whole == 0 {
		return 100
	}
	return 100 * float64(part) / float64(whole)
}

// judge compares a result with the labels and returns what is wrong with it.
func judge(c *labelled, r colleague.Result) (t tally, faults []string) {
	t.cases = 1
	if r.Skipped != c.skipped {
		faults = append(faults, fmt.Sprintf("skipped for %q, expected %q", r.Skipped, c.skipped))
	}
	said := map[string]bool{}
	var order []string
	for _, m := range r.Found {
		address := m.Email.Display()
		order = append(order, address)
		said[address] = c.reason == "" || slices.Contains(m.Reasons, c.reason)
	}
	for i, address := range addressesOf(c.yes) {
		if said[address] {
			t.right++
			continue
		}
		t.missed++
		faults = append(faults, "expected "+c.show(c.yes[i]))
	}
	for i, address := range addressesOf(c.no) {
		if said[address] {
			t.wrong++
			faults = append(faults, "did not expect "+c.show(c.no[i]))
		}
	}
	for _, person := range c.once {
		t.add(judgeOnce(person, said, &faults))
	}
	first := addressesOf(c.first)
	if c.reason != "" {
		first = order[:0:0]
		for _, address := range order {
			if slices.Contains(c.yes, address) {
				first = append(first, address)
			}
		}
	}
	if len(order) < len(first) || !slices.Equal(order[:len(first)], first) {
		faults = append(faults, fmt.Sprintf("the order is %v, expected to begin %v", order, first))
	}
	if len(faults) == 0 {
		t.passed = 1
	}
	if c.limit != "" {
		t.limits = 1
	}
	return t, faults
}

// judgeOnce looks for a person who should be found under one of several addresses.
func judgeOnce(person []string, said map[string]bool, faults *[]string) (t tally) {
	for _, address := range addressesOf(person) {
		switch {
		case !said[address]:
		case t.right == 0:
			t.right = 1
		default:
			t.wrong++
			*faults = append(*faults, "did not expect the same person as "+address)
		}
	}
	if t.right == 0 {
		t.missed = 1
		*faults = append(*faults, "expected one of "+strings.Join(person, ", "))
	}
	return t
}

// addressesOf returns addresses as the search shows them: with the domain in
// punycode.
func addressesOf(list []string) []string {
	out := make([]string, len(list))
	for i, a := range list {
		target, err := newTarget(human{address: a})
		if err != nil {
			panic("the case was run with an address that is none: " + a)
		}
		out[i] = target.Email.Display()
	}
	return out
}

// report is the outcome of all cases.
type report struct {
	families []string
	byFamily map[string]*tally
	total    tally
	// failures are cases that should pass, or pass against their mark; limits
	// are known ones.
	failures, limits []string
}

func (r *report) take(c *labelled, t tally, faults []string) {
	if r.byFamily == nil {
		r.byFamily = map[string]*tally{}
	}
	if r.byFamily[c.family] == nil {
		r.byFamily[c.family] = &tally{}
		r.families = append(r.families, c.family)
	}
	r.byFamily[c.family].add(t)
	r.total.add(t)
	text := fmt.Sprintf("%s: %s\n    %s\n", c.place, c.text, strings.Join(faults, "\n    "))
	switch {
	case c.limit != "" && len(faults) == 0:
		r.failures = append(r.failures, fmt.Sprintf("%s: %s\n    passes, although it is marked LIMIT:\n", c.place, c.text))
	case c.limit != "":
		r.limits = append(r.limits, strings.TrimSuffix(text, "\n")+"\n    known limit: "+c.limit+"\n")
	case len(faults) > 0:
		r.failures = append(r.failures, text)
	}
}

// err says why the search is not as good as it should be.
func (r *report) err() error {
	switch {
	case len(r.failures) > 0:
		return fmt.Errorf("%d cases failed", len(r.failures))
	case r.total.precision() < precisionFloor:
		return fmt.Errorf("precision %.2f %% is below %.2f %%", r.total.precision(), precisionFloor)
	case r.total.recall() < recallFloor:
		return fmt.Errorf("recall %.2f %% is below %.2f %%", r.total.recall(), recallFloor)
	}
	return nil
}

// print writes the table as Markdown, then the failures.
func (r *report) print(w io.Writer) error {
	table := tabwriter.NewWriter(w, 0, 0, 1, ' ', 0)
	fmt.Fprintln(table, "| family\t| cases\t| passed\t| precision %\t| recall %\t|")
	fmt.Fprintln(table, "|---\t|---:\t|---:\t|---:\t|---:\t|")
	row := func(name string, t tally) {
		fmt.Fprintf(table, "| %s\t| %d\t| %d\t| %.2f\t| %.2f\t|\n", name, t.cases, t.passed, t.precision(), t.recall())
	}
	for _, family := range r.families {
		row(family, *r.byFamily[family])
	}
	row("all", r.total)
	if err := table.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(w, "\nfailures: %d, known limits: %d\n", len(r.failures), len(r.limits))
	for _, text := range slices.Concat(r.failures, r.limits) {
		fmt.Fprintf(w, "\n%s", text)
	}
	return nil
}
