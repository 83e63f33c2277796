package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
	"time"
)

// journal is where a run keeps its place: a line of JSON for the file, and one
// for each batch that was accepted. A last line that is torn counts for nothing.
// It holds ids and reasons, nothing of the users.
type journal struct {
	file *os.File
	head journalHead

	mu   sync.Mutex
	done map[int64]journalEntry // by the line their batch begins at
}

// journalHead says what a journal is of.
type journalHead struct {
	File  string    `json:"file"` // hash
	URL   string    `json:"url"`
	Began time.Time `json:"began"`
}

// journalEntry is what the service said of a batch.
type journalEntry struct {
	First    int64     `json:"first"` // line
	Requests []string  `json:"requests,omitempty"`
	Refused  []refusal `json:"refused,omitempty"`
}

func (e journalEntry) users() int { return len(e.Requests) + len(e.Refused) }

// openJournal goes on with an earlier run's, or begins one.
func openJournal(name string, head journalHead, resume bool) (*journal, error) {
	j := &journal{head: head, done: map[int64]journalEntry{}}
	end := int64(0)
	if resume {
		var err error
		if end, err = j.load(name); err != nil {
			return nil, err
		}
	}
	var err error
	if j.file, err = os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600); err != nil { //nolint:gosec // the place that the user names
		return nil, err
	}
	if err := j.file.Truncate(end); err != nil {
		return nil, fmt.Errorf("cut the torn line: %w", err)
	}
	if _, err := j.file.Seek(end, io.SeekStart); err != nil {
		return nil, fmt.Errorf("go to the end: %w", err)
	}
	if end > 0 {
		return j, nil
	}
	return j, j.write(head)
}

// load reads what an earlier run left and returns where its whole lines end.
func (j *journal) load(name string) (end int64, err error) {
	f, err := os.Open(name) //nolint:gosec // the place that the user names
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer func() { _ = f.Close() }()
	lines := bufio.NewReader(f)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return end, nil // the end, or a torn line
		}
		if end == 0 {
			err = j.takeHead(name, line)
		} else {
			err = j.take(line)
		}
		if err != nil {
			return 0, err
		}
		end += int64(len(line))
	}
}

func (j *journal) takeHead(name string, line []byte) error {
	var head journalHead
	want := j.head
	if err := json.Unmarshal(line, &head); err != nil || head.File == "" {
		return fmt.Errorf("%s is no progress of this command; name another place with --state", name)
	}
	switch {
	case head.File != want.File:
		return fmt.Errorf("the file has changed since the run that %s tells of; --resume=false sends it from the beginning", name)
	case head.URL != want.URL:
		return fmt.Errorf("%s tells of a run to %s; --resume=false sends the file to %s from the beginning", name, head.URL, want.URL)
	}
	j.head = head
	return nil
}

func (j *journal) take(line []byte) error {
	var e journalEntry
	if err := json.Unmarshal(line, &e); err != nil {
		return fmt.Errorf("the progress of the earlier run cannot be read: %w", err)
	}
	j.done[e.First] = e
	return nil
}

func (j *journal) has(first int64) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	_, ok := j.done[first]
	return ok
}

func (j *journal) add(e journalEntry) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.done[e.First] = e
	return j.write(e)
}

func (j *journal) write(v any) error {
	line, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode an entry: %w", err)
	}
	_, err = j.file.Write(append(line, '\n'))
	return err
}

// requests returns the ids of all that was accepted.
func (j *journal) requests() (ids []string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, e := range j.done {
		ids = append(ids, e.Requests...)
	}
	return ids
}

func (j *journal) refused() (list []refusal) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, e := range j.done {
		list = append(list, e.Refused...)
	}
	return list
}

// empty reports whether no batch is done.
func (j *journal) empty() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.done) == 0
}

func (j *journal) close() error { return j.file.Close() }

// remove ends the journal of a run that came to its end.
func (j *journal) remove() error { return os.Remove(j.file.Name()) }
