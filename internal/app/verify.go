package app

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"usersync/internal/store"
	"usersync/internal/usersync"
	"usersync/internal/verify"
)

// Verify looks in the database that the environment names for what must not be there,
// while the service runs, and changes nothing. It writes a table of all rules to out,
// and for each that is broken what to do next. Then the error says how many are.
func Verify(ctx context.Context, environ []string, out io.Writer) error {
	s, _, err := openForOperator(ctx, environ, store.Options{ReadOnly: true})
	if err != nil {
		return err
	}
	defer func() { _ = s.Close() }()
	if err := s.CheckMigrated(ctx); err != nil {
		return err
	}
	findings, err := verify.Run(ctx, s)
	if err != nil {
		return err
	}
	left, err := verify.AllLeft(ctx, s)
	if err != nil {
		return err
	}
	report := verifyReport{findings, left}
	if _, err := io.WriteString(out, report.String()); err != nil {
		return err
	}
	return report.err()
}

// verifyReport is what a database was found to be like.
type verifyReport struct {
	findings []verify.Finding
	left     []verify.Left
}

func (r verifyReport) String() string {
	var text strings.Builder
	table := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	for _, f := range r.findings {
		_, _ = fmt.Fprintf(table, "%s\t%s\n", verdict(f), f.Name)
	}
	_, _ = fmt.Fprintln(table)
	for _, l := range r.left {
		_, _ = fmt.Fprintf(table, "%d\t%s\n", l.Count, l.Name)
	}
	_ = table.Flush()
	for _, f := range r.broken() {
		fmt.Fprintf(&text, "\nNot so: %s\n", f.Name)
		for _, b := range f.Breaches[:min(shownBreaches, len(f.Breaches))] {
			fmt.Fprintf(&text, "  %s of %s\n", b.ID, b.Organization)
		}
		fmt.Fprintf(&text, "  %s\n", f.Next)
	}
	return text.String()
}

// shownBreaches is how many rows are named that break a rule.
const shownBreaches = 5

func verdict(f verify.Finding) string {
	switch n := len(f.Breaches); n {
	case 0:
		return "ok"
	case verify.MostBreaches:
		return fmt.Sprintf("%d BROKEN or more", n)
	default:
		return fmt.Sprintf("%d BROKEN", n)
	}
}

func (r verifyReport) broken() (out []verify.Finding) {
	for _, f := range r.findings {
		if len(f.Breaches) > 0 {
			out = append(out, f)
		}
	}
	return out
}

func (r verifyReport) err() error {
	if n := len(r.broken()); n > 0 {
		return usersync.Errorf(usersync.CodeInternal, "%d of %d rules do not hold; what to do about each is said above.", n, len(r.findings))
	}
	return nil
}
