package outbound

import (
	"context"
	"crypto/tls"
	"net"
	"net/http/httptrace"
	"sync"
	"time"
)

// hold is the connection of one exchange. It is closed when the exchange's time is over.
// net/http by itself only stops to wait: a connection that it hands out after a 101 is
// read for as long as the other side keeps it, and a write that nobody takes goes on.
type hold struct {
	over context.Context //nolint:containedctx // the end of the exchange, for when it gets its connection

	mu      sync.Mutex
	let     func() // lets go of the connection; nil while there is none
	release bool
}

// holding returns the context for an exchange under ctx, and the hold on its connection.
func holding(ctx context.Context) (context.Context, *hold) {
	h := &hold{over: ctx}
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: h.got}), h
}

// got takes the connection. An exchange gets another one when the first had been closed
// by the other side.
func (h *hold) got(info httptrace.GotConnInfo) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.let != nil {
		h.let()
	}
	if !h.release {
		h.let = closeAfter(h.over, info.Conn)
	}
}

// end lets go of the connection, which other exchanges may use from now on.
func (h *hold) end() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.release = true
	if h.let != nil {
		h.let()
	}
}

// overtime is how long an exchange may go on after its time on a connection that others
// use too. net/http ends it at once, unless the connection takes no write.
const overtime = time.Second

// closeAfter closes a connection when ctx ends, until it is let go.
func closeAfter(ctx context.Context, c net.Conn) (let func()) {
	wait := time.Duration(0)
	if secure, ok := c.(*tls.Conn); ok {
		if secure.ConnectionState().NegotiatedProtocol == "h2" {
			wait = overtime
		}
		c = secure.NetConn() // TLS would first say goodbye, to somebody who may not listen
	}
	done := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		select {
		case <-done:
		case <-time.After(wait):
			_ = c.Close()
		}
	})
	return sync.OnceFunc(func() {
		stop()
		close(done)
	})
}
