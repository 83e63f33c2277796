// Package hostile holds servers that answer calls as nobody should: they keep
// connections, never come to an end, or break the protocol. The tests of every client
// that calls out run against all of them. They are real servers on loopback.
package hostile

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http/httptest"
	"sync"
	"testing"
	"time"
)

// Server is one way to answer.
type Server struct {
	Name string
	// Answered says that it sends the head of an answer of 2xx.
	Answered bool
	// over is how the server is reached.
	over transport
	// serve has one connection until it returns.
	serve func(*conn)
}

// transport is what a server speaks beneath its answers.
type transport int

const (
	plain   transport = iota // HTTP/1.1 without TLS
	rawTLS                   // https, but the server does its own handshake, or none
	overTLS                  // HTTP/1.1 over TLS
	overH2                   // HTTP/2 over TLS
)

// Running is a Server that listens until the end of the test.
type Running struct {
	// URL is where it listens.
	URL string
	// Roots hold the authority behind its certificate.
	Roots *x509.CertPool

	listener net.Listener
	tls      *tls.Config
	reached  chan struct{}
	first    sync.Once
	asked    chan struct{} // closed when Held was called
	asking   sync.Once

	mu    sync.Mutex
	conns map[net.Conn]bool
	ended bool
	all   sync.WaitGroup
}

// Start runs the server on loopback until the test ends.
func (s Server) Start(t testing.TB) *Running {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	certificate, roots := certify(t)
	r := &Running{
		URL: "http://" + listener.Addr().String(), Roots: roots, listener: listener, reached: make(chan struct{}), asked: make(chan struct{}), conns: map[net.Conn]bool{},
		tls: &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12},
	}
	if s.over != plain {
		r.URL = "https://" + listener.Addr().String()
	}
	if s.over == overH2 {
		r.tls.NextProtos = []string{"h2"}
	}
	r.all.Go(func() { r.accept(s) })
	t.Cleanup(r.stop)
	return r
}

// certify returns the certificate of net/http's test servers, which is valid for
// loopback, and who vouches for it.
func certify(t testing.TB) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	lender := httptest.NewUnstartedServer(nil)
	lender.StartTLS()
	defer lender.Close()
	roots := x509.NewCertPool()
	roots.AddCert(lender.Certificate())
	return lender.TLS.Certificates[0], roots
}

// Reached is closed when a client has connected.
func (r *Running) Reached() <-chan struct{} { return r.reached }

// Held returns how many connections clients have not let go of. What was not read so far
// is read from now on, because nothing else shows it.
func (r *Running) Held() int {
	r.asking.Do(func() { close(r.asked) })
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.conns)
}

func (r *Running) accept(s Server) {
	for {
		c, err := r.listener.Accept()
		if err != nil {
			return
		}
		if !r.add(c) {
			return
		}
		r.first.Do(func() { close(r.reached) })
		r.all.Go(func() {
			defer r.remove(c)
			s.speak(&conn{Conn: c, raw: c, asked: r.asked}, r.tls)
		})
	}
}

func (r *Running) add(c net.Conn) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended {
		_ = c.Close()
		return false
	}
	r.conns[c] = true
	return true
}

func (r *Running) remove(c net.Conn) {
	_ = c.Close()
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.conns, c)
}

func (r *Running) stop() {
	_ = r.listener.Close()
	r.asking.Do(func() { close(r.asked) })
	r.mu.Lock()
	r.ended = true
	for c := range r.conns {
		_ = c.Close()
	}
	r.mu.Unlock()
	r.all.Wait()
}

// speak serves one connection.
func (s Server) speak(c *conn, config *tls.Config) {
	if s.over == overTLS || s.over == overH2 {
		secure := tls.Server(c.raw, config)
		if secure.Handshake() != nil {
			return
		}
		c.Conn = secure
	}
	s.serve(c)
}

// conn is a connection to a client.
type conn struct {
	net.Conn
	raw   net.Conn // beneath TLS
	asked <-chan struct{}
}

// pace is how long a server that drips waits between two pieces.
const pace = 5 * time.Millisecond

// say writes once and reports whether the client is still there.
func (c *conn) say(text string) bool {
	_, err := io.WriteString(c, text)
	return err == nil
}

// keep keeps the connection until the client lets go of it.
func (c *conn) keep() { _, _ = io.Copy(io.Discard, c) }

// drip writes a text again and again, slowly, until the client has gone.
func (c *conn) drip(text string) {
	go c.keep() // ends with the connection
	for c.say(text) {
		time.Sleep(pace)
	}
}

// flood writes a text again and again, as fast as it can, until the client has gone.
func (c *conn) flood(text string) {
	go c.keep() // ends with the connection
	for c.say(text) {
	}
}

// reset breaks the connection off, so that the client gets an RST.
func (c *conn) reset() {
	if t, ok := c.raw.(*net.TCPConn); ok {
		_ = t.SetLinger(0)
	}
	_ = c.raw.Close()
}
