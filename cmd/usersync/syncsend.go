package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sync/errgroup"

	"usersync/internal/identity"
	"usersync/internal/importfile"
)

// inspected is what a first look at a file tells.
type inspected struct {
	hash  string // of its bytes, in hex
	lines int    // about how many users it can hold
}

func inspect(name string) (inspected, error) {
	f, err := os.Open(name) //nolint:gosec // the file that the user names
	if err != nil {
		return inspected{}, err
	}
	defer func() { _ = f.Close() }()
	hash, breaks := sha256.New(), &lineCounter{}
	if _, err := io.Copy(io.MultiWriter(hash, breaks), f); err != nil {
		return inspected{}, fmt.Errorf("hash the file: %w", err)
	}
	return inspected{hex.EncodeToString(hash.Sum(nil)), breaks.n}, nil
}

// lineCounter counts the line ends of what is written to it.
type lineCounter struct{ n int }

func (c *lineCounter) Write(p []byte) (int, error) {
	c.n += bytes.Count(p, []byte{'\n'})
	return len(p), nil
}

// Bounds of a batch. They make where one begins: changed bounds would send what
// an older version has sent already.
const (
	batchUsers = 500
	batchBytes = 4 << 20 // the service takes 8 MiB
)

// fileUser is a user as POST /v1/user-sync/batch takes it.
type fileUser struct {
	Email      string         `json:"email,omitempty"`
	Country    string         `json:"country,omitempty"`
	FirstName  string         `json:"firstName,omitempty"`
	LastName   string         `json:"lastName,omitempty"`
	Name       string         `json:"name,omitempty"`
	JobTitle   string         `json:"jobTitle,omitempty"`
	InviteLink string         `json:"inviteLink,omitempty"`
	Attributes map[string]any `json:"attributes,omitempty"`
}

func userOf(row importfile.Row) fileUser {
	v := row.Values
	return fileUser{
		Email: writtenEmail(v[importfile.Email]), Country: v[importfile.Country], FirstName: v[importfile.FirstName], LastName: v[importfile.LastName],
		Name: v[importfile.Name], JobTitle: v[importfile.JobTitle], InviteLink: v[importfile.InviteLink], Attributes: row.Others,
	}
}

// writtenEmail returns the address in a cell as the API takes it. What is none goes
// out as it stands: the API refuses it and says so.
func writtenEmail(cell string) string {
	email, err := identity.ParseWrittenEmail(cell)
	if err != nil {
		return cell
	}
	return email.Display()
}

// batch is the users of one call.
type batch struct {
	lines []int64 // where each stands in the file
	users []json.RawMessage
	bytes int
}

// sending sends a file.
type sending struct {
	job     *syncJob
	hash    string
	lines   int
	journal *journal

	unreadable []refusal // lines; set when reading is over
}

// run reads the file and sends what an earlier run has not.
func (s *sending) run(ctx context.Context) error {
	s.job.progress.begin("sent", s.lines)
	defer s.job.progress.end()
	batches := make(chan batch)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		defer close(batches)
		return s.read(ctx, batches)
	})
	for range max(s.job.concurrency, 1) {
		group.Go(func() error {
			for b := range batches {
				if err := s.send(ctx, b); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if group.Wait() != nil {
		return context.Cause(ctx) // When the user stops the run, the errors of its calls say less.
	}
	return nil
}

// send sends one batch and notes in the journal what the service said.
func (s *sending) send(ctx context.Context, b batch) error {
	entry, err := s.job.client.sendBatch(ctx, s.hash, b)
	if err != nil {
		return err
	}
	if err := s.journal.add(entry); err != nil {
		return fmt.Errorf("record the batch as sent: %w", err)
	}
	s.job.progress.add(entry.users())
	return nil
}

// read cuts the file into batches and hands out those that are not done.
func (s *sending) read(ctx context.Context, to chan<- batch) error {
	f, err := os.Open(s.job.file)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	rows, err := importfile.Open(f, importfile.Options{Fields: importfile.Users, Others: true})
	if err != nil {
		return fmt.Errorf("read the headings: %w", err)
	}
	total, next := 0, batch{}
	for {
		row, err := rows.Next()
		if wrong, ok := errors.AsType[*importfile.LineError](err); ok {
			reason := strings.TrimSpace(string(wrong.Field) + " " + wrong.Message)
			s.unreadable = append(s.unreadable, refusal{wrong.Line, reason})
			continue
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		encoded, err := json.Marshal(userOf(row))
		if err != nil {
			return fmt.Errorf("encode a user: %w", err)
		}
		if len(next.users) == batchUsers || next.bytes+len(encoded) > batchBytes {
			if err := s.hand(ctx, to, next); err != nil {
				return err
			}
			next = batch{}
		}
		next.users, next.lines = append(next.users, encoded), append(next.lines, row.Line)
		next.bytes += len(encoded)
		total++
	}
	s.job.progress.expect(total)
	if len(next.users) == 0 {
		return nil
	}
	return s.hand(ctx, to, next)
}

// hand gives a batch to whoever sends next, unless it is done.
func (s *sending) hand(ctx context.Context, to chan<- batch, b batch) error {
	if s.journal.has(b.lines[0]) {
		s.job.progress.skip(len(b.users))
		return nil
	}
	select {
	case to <- b:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// refused returns who was refused, and what could not be read, by line.
func (s *sending) refused() []refusal {
	all := slices.Concat(s.unreadable, s.journal.refused())
	slices.SortFunc(all, func(a, b refusal) int { return cmp.Compare(a.Line, b.Line) })
	return all
}

// writeErrors lists refused users as CSV; without any there is no file.
func writeErrors(name string, list []refusal) error {
	if len(list) == 0 {
		return nil
	}
	out := importfile.AppendCSV(nil, "line", "reason")
	for _, r := range list {
		out = importfile.AppendCSV(out, strconv.FormatInt(r.Line, 10), r.Reason) // reasons name columns, and those are the file's
	}
	return os.WriteFile(name, out, 0o600)
}
