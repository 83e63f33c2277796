package outbound_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"
	"golang.org/x/net/dns/dnsmessage"

	"usersync/internal/outbound"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func prefixes(texts ...string) (list []netip.Prefix) {
	for _, text := range texts {
		list = append(list, netip.MustParsePrefix(text))
	}
	return list
}

// loopback is a Guard that allows the servers of the tests.
func loopback() *outbound.Guard { return &outbound.Guard{Allow: prefixes("127.0.0.0/8", "::1/128")} }

func serve(t *testing.T, handler http.HandlerFunc) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server
}

func closing(t *testing.T, c *outbound.Client) *outbound.Client {
	t.Helper()
	t.Cleanup(c.Close)
	return c
}

func get(t *testing.T, url string) *http.Request {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	return req
}

func addrOf(t *testing.T, server *httptest.Server) netip.AddrPort {
	t.Helper()
	return server.Listener.Addr().(*net.TCPAddr).AddrPort()
}

// dns is a name server that answers every A question with one address.
type dns struct {
	conn   net.PacketConn
	answer atomic.Pointer[netip.Addr]
}

func newDNS(t *testing.T) *dns {
	t.Helper()
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d, done := &dns{conn: conn}, make(chan struct{})
	go func() {
		defer close(done)
		d.run()
	}()
	t.Cleanup(func() {
		_ = conn.Close()
		<-done
	})
	return d
}

func (d *dns) set(addr string) {
	parsed := netip.MustParseAddr(addr)
	d.answer.Store(&parsed)
}

func (d *dns) run() {
	buffer := make([]byte, 1500)
	for {
		n, from, err := d.conn.ReadFrom(buffer)
		if err != nil {
			return
		}
		var m dnsmessage.Message
		if m.Unpack(buffer[:n]) != nil || len(m.Questions) != 1 {
			continue
		}
		m.Response, m.RecursionAvailable, m.Additionals = true, true, nil
		addr := d.answer.Load()
		if addr == nil {
			m.RCode = dnsmessage.RCodeNameError // no name is there until one is set
		} else if q := m.Questions[0]; q.Type == dnsmessage.TypeA {
			m.Answers = []dnsmessage.Resource{{
				Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class},
				Body:   &dnsmessage.AResource{A: addr.As4()},
			}}
		}
		packed, err := m.Pack()
		if err != nil {
			continue
		}
		_, _ = d.conn.WriteTo(packed, from)
	}
}

func (d *dns) resolver() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", d.conn.LocalAddr().String())
	}}
}
