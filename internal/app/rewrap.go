package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"usersync/internal/rewrap"
	"usersync/internal/seal"
	"usersync/internal/store"
)

// tellEvery is how often RewrapKeys reports its progress.
const tellEvery = time.Second

// RewrapKeys wraps everything that is sealed in the database that the environment
// names under the first of SEALING_KEYS, while the service runs. It writes its
// progress to progress. At the end it writes to out which keys are still needed. The
// error says which values are not under the first key.
func RewrapKeys(ctx context.Context, environ []string, out, progress io.Writer) error {
	s, cfg, err := openForOperator(ctx, environ, store.Options{})
	if err != nil {
		return err
	}
	defer func() { _ = s.Close() }()
	if err := s.CheckMigrated(ctx); err != nil {
		return err
	}
	keys, err := seal.ParseKeys(cfg.SealingKeys)
	if err != nil {
		return err
	}
	done, err := rewrap.Run(ctx, s, teller(progress))
	if err != nil {
		return err
	}
	counts, err := rewrap.SealedKeys(ctx, s)
	if err != nil {
		return err
	}
	report := rewrapReport{ids: keys.IDs(), done: done, counts: counts}
	if _, err := io.WriteString(out, report.String()); err != nil {
		return err
	}
	return report.err()
}

// teller returns a function that reports the progress of a column, at most once every
// tellEvery.
func teller(to io.Writer) func(rewrap.Rewrapped) {
	last := time.Now()
	return func(r rewrap.Rewrapped) {
		if time.Since(last) < tellEvery {
			return
		}
		last = time.Now()
		_, _ = fmt.Fprintf(to, "%s: %d values so far\n", r.Column, r.Values)
	}
}

// rewrapReport is the state of the keys after a run.
type rewrapReport struct {
	ids    []string // of SEALING_KEYS; the first seals
	done   []rewrap.Rewrapped
	counts map[string]int64 // numbers of sealed values, by key
}

func (r rewrapReport) String() string {
	text := ""
	for _, d := range r.done {
		text += fmt.Sprintf("%-32s %8d values, %d wrapped again\n", d.Column, d.Values, d.Changed)
	}
	text += "\n"
	for _, id := range r.ids {
		text += fmt.Sprintf("%-32s %8d values  %s\n", "key "+id, r.counts[id], r.verdict(id))
	}
	for _, id := range slices.Sorted(maps.Keys(r.counts)) {
		if !slices.Contains(r.ids, id) {
			text += fmt.Sprintf("%-32s %8d values  missing from SEALING_KEYS\n", "key "+id, r.counts[id])
		}
	}
	if len(r.droppable()) > 0 {
		text += "\nA key without values can go when every process has been restarted with " + r.ids[0] +
			" in front,\nand once no backup that you may restore is older than this run.\n"
	}
	return text
}

func (r rewrapReport) verdict(id string) string {
	switch {
	case id == r.ids[0]:
		return "seals"
	case r.counts[id] > 0:
		return "still needed"
	}
	return "needed by nothing: take it out of SEALING_KEYS"
}

// droppable returns the ids of the keys that seal nothing.
func (r rewrapReport) droppable() (ids []string) {
	for _, id := range r.ids[1:] {
		if r.counts[id] == 0 {
			ids = append(ids, id)
		}
	}
	return ids
}

// err says which values are not under the first key, and what the operator has to do.
func (r rewrapReport) err() error {
	var unopened int64
	var cause error
	for _, d := range r.done {
		if d.Unopened > 0 {
			unopened, cause = unopened+d.Unopened, d.Err
		}
	}
	if unopened > 0 {
		return fmt.Errorf("%d values cannot be opened and stay as they are; the last of them: %w", unopened, cause)
	}
	for id, n := range r.counts {
		if id != r.ids[0] && n > 0 {
			return errors.New("values were sealed with an older key while this ran: restart every process with " + r.ids[0] +
				" as the first of SEALING_KEYS, then run this again")
		}
	}
	return nil
}
