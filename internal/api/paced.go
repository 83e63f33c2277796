package api

import (
	"net/http"
	"time"
)

// defaultWriteWithin is how long a caller may take nothing of an answer. Answers
// under way hold memory and a goroutine, so a slow reader is bounded by progress, and
// a long answer is not bounded as a whole.
const defaultWriteWithin = 30 * time.Second

// pacedPiece is how many bytes of an answer must be taken within that time. A
// connection that takes them is never cut, at 64 KiB / 30 s = 2.2 KB/s.
const pacedPiece = 64 << 10

// pacedWriter writes an answer piece by piece, each with a deadline of its own.
type pacedWriter struct {
	http.ResponseWriter
	within time.Duration
	err    error // why writing failed
}

// pace has the call's answer written with rolling deadlines. The server takes the last
// one off when the call has ended.
func (c *Call) pace(within time.Duration) {
	c.paced = pacedWriter{ResponseWriter: c.Response().Writer, within: within}
	c.Response().Writer = &c.paced
}

func (w *pacedWriter) Write(p []byte) (n int, err error) {
	for first := true; first || len(p) > 0; first = false {
		piece := p[:min(len(p), pacedPiece)]
		// Without a connection, as in tests, there is no deadline to set.
		_ = http.NewResponseController(w.ResponseWriter).SetWriteDeadline(time.Now().Add(w.within))
		wrote, err := w.ResponseWriter.Write(piece)
		n += wrote
		if err != nil {
			w.err = err
			return n, err
		}
		p = p[len(piece):]
	}
	return n, nil
}

// Unwrap is for http.ResponseController.
func (w *pacedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
