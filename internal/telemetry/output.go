package telemetry

import (
	"fmt"
	"io"
	"sync"
	"time"
)

const (
	// outputDelay is how long a line waits for others, at most.
	outputDelay = 250 * time.Millisecond
	// outputSize is how many bytes wait, at most.
	outputSize = 32 << 10
)

// Output writes log lines in groups: those of a quarter of a second with one call. A
// logger of NewLogger that writes to it has warnings and errors written at once, with
// what waits before them. A process that is killed loses what waits. Its methods may be
// called concurrently.
type Output struct {
	to io.Writer

	mu      sync.Mutex
	waiting []byte
	timer   *time.Timer // nil until the first line
	err     error       // of a write that nobody waited for
}

// NewOutput returns an output to a writer. Close writes what is left.
func NewOutput(to io.Writer) *Output { return &Output{to: to, waiting: make([]byte, 0, outputSize)} }

// Write takes lines, which must be whole. The error may be that of an earlier write.
func (o *Output) Write(lines []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	first := len(o.waiting) == 0
	o.waiting = append(o.waiting, lines...)
	switch {
	case len(o.waiting) >= outputSize:
		o.flush()
	case first && o.timer == nil:
		o.timer = time.AfterFunc(outputDelay, func() { _ = o.Flush() }) // Flush keeps its error
	case first:
		o.timer.Reset(outputDelay)
	}
	return len(lines), o.failure()
}

// Flush writes what waits.
func (o *Output) Flush() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.flush()
	return o.err
}

// Close writes what is left and returns the error of a write that failed.
func (o *Output) Close() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.timer != nil {
		o.timer.Stop()
	}
	o.flush()
	return o.failure()
}

// flush writes what waits, with the lock held. What cannot be written is dropped.
func (o *Output) flush() {
	if len(o.waiting) == 0 {
		return
	}
	if _, err := o.to.Write(o.waiting); err != nil {
		o.err = fmt.Errorf("write log lines: %w", err)
	}
	if cap(o.waiting) > 2*outputSize {
		o.waiting = make([]byte, 0, outputSize)
	}
	o.waiting = o.waiting[:0]
}

// failure returns the error that is kept, and forgets it, with the lock held.
func (o *Output) failure() error {
	err := o.err
	o.err = nil
	return err
}
