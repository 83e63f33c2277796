package directory

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"usersync/internal/outbox"
	"usersync/internal/queue"
	"usersync/internal/store"
	"usersync/internal/tenant"
	"usersync/internal/usersync"
)

// ImportFile is the task that saves the people of an import, chunk by chunk.
var ImportFile = queue.Kind[Args]{Name: "directory.import", Queue: queue.Bulk, Timeout: 2 * time.Minute}

// Args are the arguments of ImportFile.
type Args struct {
	ImportID string `json:"import"`
}

// Handler returns the handler of ImportFile.
func (s *Service) Handler() queue.Handler { return ImportFile.Work(s.work, s.giveUp) }

const defaultTurn = 3 * time.Second

func (s *Service) work(ctx context.Context, c usersync.Claim, args Args) error {
	org := s.Store.Org(c.Organization)
	owner, err := tenant.Get(ctx, s.Store, c.Organization)
	if errors.Is(err, tenant.ErrNotFound) {
		return s.Store.Tx(ctx, func(tx *store.Tx) error { return outbox.Finish(ctx, tx, c) })
	}
	if err != nil {
		return fmt.Errorf("read the import's organization: %w", err)
	}
	//lint:clock it measures the turn
	for ends := time.Now().Add(cmp.Or(s.Turn, defaultTurn)); ; { //lint:loop works chunk after chunk, each in a transaction
		chunk, ok, err := NextChunk(ctx, org, args.ImportID)
		if err != nil {
			return fmt.Errorf("read the next chunk: %w", err)
		}
		if !ok {
			return s.finish(ctx, c, args)
		}
		outcome, err := checkChunk(chunk)
		if err != nil {
			return fmt.Errorf("check chunk %d: %w", chunk.Number, err)
		}
		outcome.Salt = owner.Salt
		over := time.Now().After(ends) //lint:clock as above
		if err := s.saveChunk(ctx, c, args, outcome, over); err != nil || over {
			return err
		}
	}
}

// checkChunk says what becomes of each line of a chunk.
func checkChunk(chunk Chunk) (Outcome, error) {
	o := Outcome{Number: chunk.Number}
	var lines []chunkLine
	if err := json.Unmarshal(chunk.Body, &lines); err != nil {
		return o, fmt.Errorf("decode the lines of a chunk: %w", err)
	}
	for _, l := range lines {
		p, wrong := check(l)
		if len(wrong) > 0 {
			o.Refused = append(o.Refused, wrong...)
			continue
		}
		o.Lines = append(o.Lines, Line{Line: l.Line, Person: p})
	}
	return o, nil
}

// saveChunk writes a chunk's outcome under the claim. When the turn is over it hands
// the rest of the import to a new task. That task is only as old as its turn, so a
// long import is not taken for a task that is stuck.
func (s *Service) saveChunk(ctx context.Context, c usersync.Claim, args Args, o Outcome, over bool) error {
	return s.Store.Tx(ctx, func(tx *store.Tx) error {
		if !over {
			if err := outbox.Progress(ctx, tx, c); err != nil {
				return err
			}
			return SaveChunk(ctx, tx, c.Organization, args.ImportID, o)
		}
		if err := outbox.Finish(ctx, tx, c); err != nil {
			return err
		}
		if err := SaveChunk(ctx, tx, c.Organization, args.ImportID, o); err != nil {
			return fmt.Errorf("save a chunk: %w", err)
		}
		return outbox.Enqueue(ctx, tx, task(c.Organization, c.Traceparent, args, strconv.Itoa(o.Number)))
	})
}

// task returns a task of an import, one for each cause.
func task(organization, traceparent string, args Args, cause ...string) usersync.Task {
	t := ImportFile.Task(usersync.DeriveID(usersync.PrefixTask, args.ImportID, cause...), organization, organization, args)
	t.Traceparent = traceparent
	return t
}

func (s *Service) finish(ctx context.Context, c usersync.Claim, args Args) error {
	return s.Store.Tx(ctx, func(tx *store.Tx) error {
		if err := outbox.Finish(ctx, tx, c); err != nil {
			return err
		}
		return FinishImport(ctx, tx, c.Organization, args.ImportID)
	})
}

// giveUp ends an import whose task failed too often. The people saved so far stay.
func (s *Service) giveUp(ctx context.Context, c usersync.Claim, args Args, _ error) error {
	return s.Store.Tx(ctx, func(tx *store.Tx) error {
		if err := outbox.Finish(ctx, tx, c); err != nil {
			return err
		}
		return FailImport(ctx, tx, c.Organization, args.ImportID, "Something went wrong on our side; the people saved so far stay. Upload the file again.")
	})
}
