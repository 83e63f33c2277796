package apptest

import (
	"io"
	"net"
	"sync"
	"testing"
)

// Proxy stands between the program and a server, so that a test can cut the
// connection.
type Proxy struct {
	target string
	addr   string

	mu       sync.Mutex
	listener net.Listener
	open     map[net.Conn]bool
}

// NewProxy starts a proxy to target, host:port.
func NewProxy(t *testing.T, target string) *Proxy {
	t.Helper()
	p := &Proxy{target: target, addr: "127.0.0.1:0", open: map[net.Conn]bool{}}
	p.Resume(t)
	t.Cleanup(p.Cut)
	return p
}

// Addr returns where the proxy listens.
func (p *Proxy) Addr() string { return p.addr }

// Cut ends all connections and refuses new ones.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.listener != nil {
		_ = p.listener.Close()
		p.listener = nil
	}
	for c := range p.open {
		_ = c.Close()
		delete(p.open, c)
	}
}

// Resume accepts connections again, on the same port.
func (p *Proxy) Resume(t *testing.T) {
	t.Helper()
	listener, err := net.Listen("tcp", p.addr)
	if err != nil {
		t.Fatal(err)
	}
	p.mu.Lock()
	p.listener, p.addr = listener, listener.Addr().String()
	p.mu.Unlock()
	go func() {
		for {
			in, err := listener.Accept()
			if err != nil {
				return
			}
			go p.pass(in)
		}
	}()
}

func (p *Proxy) pass(in net.Conn) {
	out, err := net.Dial("tcp", p.target)
	if err != nil {
		_ = in.Close()
		return
	}
	p.mu.Lock()
	if p.listener == nil {
		p.mu.Unlock()
		_, _ = in.Close(), out.Close()
		return
	}
	p.open[in], p.open[out] = true, true
	p.mu.Unlock()
	go p.copy(in, out)
	p.copy(out, in)
}

func (p *Proxy) copy(to, from net.Conn) {
	_, _ = io.Copy(to, from)
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range []net.Conn{to, from} {
		_ = c.Close()
		delete(p.open, c)
	}
}
