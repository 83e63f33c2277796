// Package live keeps pages current: it sends a part of a page, as an event, whenever it has
// changed.
package live

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/a-h/templ"

	"usersync/internal/usersync"
)

// A stream looks again after every, and sends nothing when nothing has changed, but for a
// sign of life after quiet. It ends after long, and the browser connects again.
const (
	every = 2 * time.Second
	quiet = 15 * time.Second
	long  = 10 * time.Minute
	// most bounds the streams of a process.
	most = 256
)

// Streams are those of a process.
type Streams struct {
	under   chan struct{} // has an element for each that is under way
	ending  sync.Once
	closing chan struct{}
}

// NewStreams returns none yet.
func NewStreams() *Streams {
	return &Streams{under: make(chan struct{}, most), closing: make(chan struct{})}
}

// End ends all streams, which would otherwise keep a server from shutting down.
func (s *Streams) End() { s.ending.Do(func() { close(s.closing) }) }

// Enter takes a place for a stream, unless there is none. Leave gives it back.
func (s *Streams) Enter() bool {
	select {
	case s.under <- struct{}{}:
		return true
	default:
		return false
	}
}

// Leave gives the place of a stream back.
func (s *Streams) Leave() { <-s.under }

// Send sends part, and then what again returns whenever that has changed, until the viewer
// goes, the streams end or again fails. Its errors are again's own faults: any other has
// the browser ask for the page, which tells it.
func (s *Streams) Send(ctx context.Context, w http.ResponseWriter, part templ.Component, again func() (templ.Component, error)) error {
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no")
	w.WriteHeader(http.StatusOK)
	one := &stream{w: w, wrote: time.Now()}
	err := one.send(ctx, part)
	if err == nil {
		err = s.follow(ctx, one, again)
	}
	if ctx.Err() != nil || usersync.CodeOf(err) != usersync.CodeInternal {
		return nil
	}
	return err
}

func (s *Streams) follow(ctx context.Context, one *stream, again func() (templ.Component, error)) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	end := time.NewTimer(long)
	defer end.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.closing:
			return nil
		case <-end.C:
			return nil
		case <-tick.C:
		}
		part, err := again()
		if err != nil {
			return err
		}
		if err := one.send(ctx, part); err != nil {
			return err
		}
	}
}

// stream is one on its way.
type stream struct {
	w     http.ResponseWriter
	last  [sha256.Size]byte
	wrote time.Time
}

// send writes a part, unless it is as it was.
func (s *stream) send(ctx context.Context, part templ.Component) error {
	var text bytes.Buffer
	if err := part.Render(ctx, &text); err != nil {
		return fmt.Errorf("render the part: %w", err)
	}
	sum := sha256.Sum256(text.Bytes())
	if sum == s.last {
		if time.Since(s.wrote) < quiet {
			return nil
		}
		return s.write(":\n\n")
	}
	s.last = sum
	data, err := json.Marshal(text.String())
	if err != nil {
		return fmt.Errorf("encode the part: %w", err)
	}
	return s.write("event: part\ndata: " + string(data) + "\n\n")
}

func (s *stream) write(text string) error {
	s.wrote = time.Now()
	if _, err := s.w.Write([]byte(text)); err != nil {
		return fmt.Errorf("write the part: %w", err)
	}
	return http.NewResponseController(s.w).Flush()
}
