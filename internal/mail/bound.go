package mail

import (
	"context"
	"errors"
	"net"
	"time"
)

// maxReplies is how many bytes a mail server may send for one letter. Usual servers send
// some 2 KB, and as much again for TLS; a certificate chain has 10 KB.
const maxReplies = 256 << 10

// errTalkative is the error of a server that sends more.
var errTalkative = errors.New("the mail server sends more than a letter needs")

// bounded is a connection to a mail server whose bytes are all under one deadline, and
// no more than maxReplies. The SMTP library has a deadline for each command, collects the
// lines of a reply without end, and waits without a deadline to say goodbye.
type bounded struct {
	net.Conn
	until time.Time
	left  int
	stop  func() bool
}

// bound bounds a connection to the time of ctx, which must have a deadline.
func bound(ctx context.Context, c net.Conn) (net.Conn, error) {
	until, _ := ctx.Deadline()
	if err := c.SetDeadline(until); err != nil {
		_ = c.Close()
		return nil, err
	}
	return &bounded{Conn: c, until: until, left: maxReplies, stop: context.AfterFunc(ctx, func() { _ = c.Close() })}, nil
}

// Read implements net.Conn.
func (b *bounded) Read(to []byte) (int, error) {
	if b.left <= 0 {
		return 0, errTalkative
	}
	n, err := b.Conn.Read(to[:min(len(to), b.left)])
	b.left -= n
	return n, err
}

// SetDeadline implements net.Conn. The deadline that the connection has only comes nearer.
func (b *bounded) SetDeadline(t time.Time) error { return b.Conn.SetDeadline(b.within(t)) }

// SetReadDeadline implements net.Conn, as SetDeadline does.
func (b *bounded) SetReadDeadline(t time.Time) error { return b.Conn.SetReadDeadline(b.within(t)) }

// SetWriteDeadline implements net.Conn, as SetDeadline does.
func (b *bounded) SetWriteDeadline(t time.Time) error { return b.Conn.SetWriteDeadline(b.within(t)) }

func (b *bounded) within(t time.Time) time.Time {
	if t.IsZero() || t.After(b.until) {
		return b.until
	}
	return t
}

// Close implements net.Conn.
func (b *bounded) Close() error {
	b.stop()
	return b.Conn.Close()
}
