package api

import (
	"bufio"
	"io"
	"net/http"
)

// streamBuffer is how much of a streamed answer is held back: an error within
// it is still answered as one.
const streamBuffer = 32 << 10

// WriteStream answers 200 with a body that write makes piece by piece. An error
// after the first bytes cuts the connection, since half of an answer must not look
// whole.
func (c *Call) WriteStream(mediaType string, write func(io.Writer) error) error {
	c.Header().Set("Content-Type", mediaType)
	out := bufio.NewWriterSize(c.Response(), streamBuffer)
	err := write(out)
	if err == nil {
		err = out.Flush()
	}
	if err == nil {
		return nil
	}
	if !c.Response().Committed {
		c.Header().Del("Content-Type")
		return err
	}
	c.fail(err)
	panic(http.ErrAbortHandler)
}
