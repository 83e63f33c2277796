package hostile

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
)

// Servers are all of them: THE LIST.
func Servers() []Server { return slices.Concat(http1(), encrypted(), http2s()) }

// Beginnings of answers.
const (
	ok       = "HTTP/1.1 200 OK\r\n"
	switched = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: hostile\r\n\r\n"
	chunked  = ok + "Transfer-Encoding: chunked\r\n\r\n"
	unpacked = ok + "Content-Encoding: gzip\r\n\r\n"
	long     = ok + "Content-Length: 1000000000\r\n\r\n"
	huge     = 64 << 10
)

// http1 are the answers in HTTP/1.1.
func http1() []Server {
	some := strings.Repeat("x", huge)
	return []Server{
		{Name: "says nothing", serve: (*conn).keep},
		{Name: "reads nothing and says nothing", serve: (*conn).waitUnread},
		{Name: "closes at once", serve: func(*conn) {}},
		{Name: "resets at once", serve: (*conn).reset},
		{Name: "101 and keeps", serve: after(switched, (*conn).keep)},
		{Name: "101 and talks", serve: after(switched, func(c *conn) { c.drip("x") })},
		{Name: "101 and floods", serve: after(switched, func(c *conn) { c.flood(some) })},
		{Name: "101 without an upgrade", serve: after("HTTP/1.1 101 Switching Protocols\r\n\r\n", (*conn).keep)},
		{Name: "101 behind a 100", serve: after("HTTP/1.1 100 Continue\r\n\r\n"+switched, (*conn).keep)},
		{Name: "100 and then nothing", serve: after("HTTP/1.1 100 Continue\r\n\r\n", (*conn).keep)},
		{Name: "100 without end", serve: after("", func(c *conn) { c.drip("HTTP/1.1 100 Continue\r\n\r\n") })},
		{Name: "103 in a flood", serve: after("", func(c *conn) { c.flood("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n") })},
		{Name: "199 and then nothing", serve: after("HTTP/1.1 199 Strange\r\n\r\n", (*conn).keep)},
		{Name: "status line byte by byte", serve: after("HTTP/1.1 200 ", func(c *conn) { c.drip("K") })},
		{Name: "status line in a flood", serve: after("HTTP/1.1 200 ", func(c *conn) { c.flood(some) })},
		{Name: "header byte by byte", serve: after(ok+"X-Long: ", func(c *conn) { c.drip("x") })},
		{Name: "headers one by one", serve: after(ok, func(c *conn) { c.drip("X-Many: x\r\n") })},
		{Name: "headers in a flood", serve: after(ok, func(c *conn) { c.flood("X-Many: x\r\n") })},
		{Name: "body byte by byte", Answered: true, serve: after(long, func(c *conn) { c.drip("x") })},
		{Name: "body without end", Answered: true, serve: after(ok+"\r\n", func(c *conn) { c.flood(some) })},
		{Name: "body that does not come", Answered: true, serve: after(long, (*conn).keep)},
		{Name: "chunks without end", Answered: true, serve: after(chunked, func(c *conn) { c.flood("1000\r\n" + some[:0x1000] + "\r\n") })},
		{Name: "chunks byte by byte", Answered: true, serve: after(chunked, func(c *conn) { c.drip("1\r\nx\r\n") })},
		{Name: "size of a chunk without end", Answered: true, serve: after(chunked, func(c *conn) { c.drip("0") })},
		{Name: "extension of a chunk without end", Answered: true, serve: after(chunked+"1;", func(c *conn) { c.flood(some) })},
		{Name: "trailers without end", Answered: true, serve: after(chunked+"0\r\n", func(c *conn) { c.flood("X-Many: x\r\n") })},
		{Name: "gzip bomb", Answered: true, serve: after(unpacked+bomb(), (*conn).keep)},
		{Name: "gzip of nothing without end", Answered: true, serve: after(unpacked, func(c *conn) { c.flood(packed(nil)) })},
		{Name: "gzip header without end", Answered: true, serve: after(unpacked+"\x1f\x8b\x08\x08\x00\x00\x00\x00\x00\x03", func(c *conn) { c.flood(some) })},
		{Name: "answers before it has read", Answered: true, serve: func(c *conn) {
			if !c.begins() {
				return
			}
			c.say(ok + "Content-Length: 0\r\n\r\n")
			c.waitUnread()
		}},
		{Name: "answers twice", Answered: true, serve: after(ok+"Content-Length: 0\r\n\r\n"+ok+"Content-Length: 0\r\n\r\n", (*conn).keep)},
		{Name: "resets in the headers", serve: after(ok+"X-Long: ", (*conn).reset)},
		{Name: "resets in the body", Answered: true, serve: func(c *conn) {
			// A client that is still sending may learn of nothing but the reset.
			if c.hearAll() && c.say(long+"x") {
				c.reset()
			}
		}},
		{Name: "redirects to itself", serve: after("HTTP/1.1 307 Temporary Redirect\r\nLocation: /\r\nContent-Length: 0\r\n\r\n", (*conn).keep)},
		{Name: "redirects and keeps", serve: after("HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n", (*conn).keep)},
		{Name: "speaks SMTP", serve: after("220 mail.example.com ESMTP\r\n", (*conn).keep)},
	}
}

// encrypted are those that need TLS.
func encrypted() []Server {
	// A record of TLS that announces a handshake message of 16 MiB.
	const record = "\x16\x03\x03\x40\x00"
	return []Server{
		{Name: "TLS handshake that hangs", over: rawTLS, serve: (*conn).keep},
		{Name: "TLS handshake byte by byte", over: rawTLS, serve: func(c *conn) {
			c.say(record)
			c.drip("\x02")
		}},
		{Name: "TLS handshake in a flood", over: rawTLS, serve: func(c *conn) { c.flood(record + strings.Repeat("\x02", 0x4000)) }},
		{Name: "plain text in place of TLS", over: rawTLS, serve: after(ok+"\r\n", (*conn).keep)},
		{Name: "101 over TLS", over: overTLS, serve: after(switched, (*conn).keep)},
		{Name: "header byte by byte over TLS", over: overTLS, serve: after(ok+"X-Long: ", func(c *conn) { c.drip("x") })},
		{Name: "body without end over TLS", Answered: true, over: overTLS, serve: after(ok+"\r\n", func(c *conn) { c.flood(strings.Repeat("x", huge)) })},
	}
}

// after reads a request, says something, and goes on as then does.
func after(text string, then func(*conn)) func(*conn) {
	return func(c *conn) {
		if !c.hear() {
			return
		}
		if text == "" || c.say(text) {
			then(c)
		}
	}
}

// hear reads the head of a request, whatever it is.
func (c *conn) hear() bool {
	_, err := http.ReadRequest(bufio.NewReader(c))
	return err == nil
}

// hearAll reads a request with its body.
func (c *conn) hearAll() bool {
	r, err := http.ReadRequest(bufio.NewReader(c))
	if err != nil {
		return false
	}
	_, err = io.Copy(io.Discard, r.Body)
	return err == nil
}

// begins waits for the first byte of a request. An answer that comes before it may be
// taken for the end of an idle connection, which is right too.
func (c *conn) begins() bool {
	_, err := io.ReadFull(c, make([]byte, 1))
	return err == nil
}

// waitUnread keeps the connection without reading from it, until somebody wants to know
// whether the client has gone.
func (c *conn) waitUnread() {
	<-c.asked
	c.keep()
}

// packed returns a text as a member of a gzip file.
func packed(text []byte) string {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, _ = w.Write(text) // a buffer takes everything
	_ = w.Close()
	return out.String()
}

// bomb is some 64 KiB that become 64 MiB.
var bomb = sync.OnceValue(func() string { return packed(make([]byte, 64<<20)) })
