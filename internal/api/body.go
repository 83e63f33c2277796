package api

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"usersync/internal/usersync"
)

// DefaultBodyLimit bounds a body in bytes where its route says nothing.
const DefaultBodyLimit = 1 << 20

// mediaJSON is the media type of a body where its route says nothing.
var mediaJSON = []string{"application/json"}

var bodies = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// keptBody bounds the buffers that are kept for the next call.
const keptBody = 64<<10 - bytes.MinRead

var (
	errCoding  = refuse(http.StatusUnsupportedMediaType, "A compressed body is not supported; send it without Content-Encoding.")
	errTooLong = refuse(http.StatusRequestEntityTooLarge, "The body is too large.")
)

// Body returns the whole body. It must not be used after the call. The error has
// the status 415 for a media type that the route does not accept, and 413 for a
// body over its limit.
func (c *Call) Body() ([]byte, error) {
	if c.body != nil {
		return c.body.Bytes(), nil
	}
	r := c.Request()
	if r.ContentLength == 0 || r.Body == nil {
		return nil, nil
	}
	if err := c.checkBody(); err != nil {
		return nil, err
	}
	buffer := bodies.Get().(*bytes.Buffer)
	c.body = buffer
	limit := c.bodyLimit()
	if r.ContentLength > 0 {
		// A large announcement must not cost memory before the bytes arrive.
		buffer.Grow(int(min(r.ContentLength, keptBody)) + bytes.MinRead)
	}
	if _, err := buffer.ReadFrom(io.LimitReader(r.Body, limit+1)); err != nil {
		return nil, c.brokenBody(err)
	}
	if int64(buffer.Len()) > limit {
		return nil, errTooLong
	}
	return buffer.Bytes(), nil
}

// streamWithin bounds the time that a body may take when it is read piece by piece.
const streamWithin = 15 * time.Minute

// BodyStream returns the body of a route that reads it piece by piece, which
// may take 15 min. The errors of its Read have the code invalid, and beyond the
// limit the status 413.
func (c *Call) BodyStream() (io.Reader, error) {
	if err := c.checkBody(); err != nil {
		return nil, err
	}
	// The server's own deadline is for bodies that are read at once. Without a
	// connection, as in tests, there is no deadline to set.
	_ = http.NewResponseController(c.Response()).SetReadDeadline(time.Now().Add(streamWithin))
	return &limited{call: c, left: c.bodyLimit()}, nil
}

// limited is io.LimitReader with our own errors; every further Read returns the
// same one.
type limited struct {
	call *Call
	left int64
	err  error
}

func (l *limited) Read(p []byte) (int, error) {
	if l.err != nil {
		return 0, l.err
	}
	if int64(len(p)) > l.left+1 {
		p = p[:l.left+1]
	}
	n, err := l.call.Request().Body.Read(p)
	switch {
	case int64(n) > l.left:
		n, err = int(l.left), errTooLong
	case err != nil && !errors.Is(err, io.EOF):
		err = l.call.brokenBody(err)
	}
	l.left -= int64(n)
	l.err = err
	return n, err
}

func (c *Call) checkBody() error {
	r := c.Request()
	if r.ContentLength > c.bodyLimit() {
		return errTooLong
	}
	if coding := r.Header.Get("Content-Encoding"); coding != "" && !strings.EqualFold(coding, "identity") {
		return errCoding
	}
	types := mediaJSON
	if c.route != nil && len(c.route.MediaTypes) > 0 {
		types = c.route.MediaTypes
	}
	mediaType, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	mediaType = strings.TrimSpace(mediaType)
	for _, t := range types {
		if strings.EqualFold(t, mediaType) {
			return nil
		}
	}
	return refuse(http.StatusUnsupportedMediaType, "Content-Type must be "+strings.Join(types, " or ")+".")
}

func (c *Call) bodyLimit() int64 {
	if c.route == nil || c.route.BodyLimit == 0 {
		return DefaultBodyLimit
	}
	return c.route.BodyLimit
}

// brokenBody says why a body could not be read: the caller went away, was too
// slow, or sent less than was announced.
func (c *Call) brokenBody(err error) error {
	if c.ctx.Err() != nil {
		return context.Canceled
	}
	if errors.Is(err, http.ErrBodyReadAfterClose) {
		return err
	}
	return usersync.Errorf(usersync.CodeInvalid, "The body could not be read to its end.")
}

func (c *Call) releaseBody() {
	if c.body == nil || c.body.Cap() > 2*keptBody {
		return
	}
	c.body.Reset()
	bodies.Put(c.body)
	c.body = nil
}
