package outbound_test

import (
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"testing"

	"usersync/internal/outbound"
	"usersync/internal/usersync"
)

// control calls what a dialer would call before it dials.
func control(g *outbound.Guard, addr string, port uint16) error {
	ip := netip.MustParseAddr(addr)
	network := "tcp4"
	if ip.Is6() {
		network = "tcp6"
	}
	return g.Control(network, netip.AddrPortFrom(ip, port).String(), nil)
}

var forbidden = []struct{ name, addr string }{
	{"loopback", "127.0.0.1"},
	{"all of loopback", "127.255.255.254"},
	{"IPv6 loopback", "::1"},
	{"private 10", "10.0.0.1"},
	{"private 172", "172.16.0.1"},
	{"private 172, end", "172.31.255.255"},
	{"private 192", "192.168.1.1"},
	{"unique local", "fc00::1"},
	{"unique local fd", "fd12:3456::1"},
	{"link-local", "169.254.1.1"},
	{"IPv6 link-local", "fe80::1"},
	{"IPv6 link-local with a zone", "fe80::1%eth0"},
	{"site-local", "fec0::1"},
	{"shared address space", "100.64.0.1"},
	{"shared address space, end", "100.127.255.255"},
	{"multicast", "224.0.0.1"},
	{"IPv6 multicast", "ff02::1"},
	{"unspecified", "0.0.0.0"},
	{"this network", "0.1.2.3"},
	{"IPv6 unspecified", "::"},
	{"broadcast", "255.255.255.255"},
	{"reserved", "240.0.0.1"},
	{"benchmarking", "198.18.0.1"},
	{"protocol assignments", "192.0.0.1"},
	{"documentation", "192.0.2.1"},
	{"IPv6 documentation", "2001:db8::1"},
	{"discard only", "100::1"},
	{"metadata of most clouds", "169.254.169.254"},
	{"container credentials", "169.254.170.2"},
	{"IPv6 metadata", "fd00:ec2::254"},
	{"other IPv6 metadata", "fd20:ce::254"},
	{"metadata in shared space", "100.100.100.200"},
	{"metadata in protocol assignments", "192.0.0.192"},
	{"metadata at a public address", "168.63.129.16"},
	{"mapped loopback", "::ffff:127.0.0.1"},
	{"mapped private", "::ffff:10.0.0.1"},
	{"mapped metadata", "::ffff:169.254.169.254"},
	{"mapped metadata at a public address", "::ffff:168.63.129.16"},
	{"compatible loopback", "::127.0.0.1"},
	{"compatible public", "::8.8.8.8"},
	{"translated loopback", "::ffff:0:127.0.0.1"},
	{"NAT64 loopback", "64:ff9b::127.0.0.1"},
	{"NAT64 private", "64:ff9b::10.0.0.1"},
	{"NAT64 public", "64:ff9b::8.8.8.8"},
	{"local-use NAT64", "64:ff9b:1::10.0.0.1"},
	{"6to4 of loopback", "2002:7f00:1::1"},
	{"6to4 of private", "2002:a00:1::1"},
	{"Teredo", "2001:0:4136:e378:8000:63bf:f5ff:fffe"},
	{"ORCHID", "2001:20::1"},
	{"segment routing", "5f00::1"},
}

func TestControlRefusesWhatIsNotPublic(t *testing.T) {
	t.Parallel()
	for _, c := range forbidden {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			err := control(&outbound.Guard{}, c.addr, 443)
			if usersync.CodeOf(err) != usersync.CodeInvalid {
				t.Fatalf("%s: %v", c.addr, err)
			}
			if message := usersync.AsError(err).Message; strings.Contains(message, c.addr) {
				t.Errorf("the message shows the address: %s", message)
			}
		})
	}
}

// neverDialled reports whether a call failed because the Guard refused the address.
// Only the cause tells it from a call that was dialled and failed.
func neverDialled(err error) bool {
	return usersync.CodeOf(err) == usersync.CodeUnavailable && strings.Contains(err.Error(), "The address is not allowed")
}

func TestDoRefusesWhatIsNotPublic(t *testing.T) {
	t.Parallel()
	client := closing(t, &outbound.Client{})
	for _, c := range forbidden {
		if strings.Contains(c.addr, "%") {
			continue // a URL cannot name an interface that is not there
		}
		for _, scheme := range []string{"http://", "https://"} {
			t.Run(scheme+c.name, func(t *testing.T) {
				t.Parallel()
				_, err := client.Do(t.Context(), get(t, scheme+net.JoinHostPort(c.addr, "8443")))
				if !neverDialled(err) {
					t.Errorf("%s: %v", c.addr, err)
				}
			})
		}
	}
}

func TestControlTakesPublicAddresses(t *testing.T) {
	t.Parallel()
	for _, addr := range []string{"8.8.8.8", "93.184.216.34", "172.32.0.1", "100.128.0.1", "168.63.129.17", "2606:4700::1111", "2a00:1450::1", "::ffff:8.8.8.8"} {
		if err := control(&outbound.Guard{}, addr, 8443); err != nil {
			t.Errorf("%s: %v", addr, err)
		}
	}
}

func TestControlTakesWhatAllowCovers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		allow, addr string
		want        usersync.Code
	}{
		{"10.0.0.0/8", "10.1.2.3", ""},
		{"10.0.0.0/8", "11.1.2.3", ""},
		{"10.0.0.0/8", "192.168.0.1", usersync.CodeInvalid},
		{"10.0.0.0/8", "::ffff:10.1.2.3", ""},
		{"10.0.0.0/8", "64:ff9b::10.1.2.3", usersync.CodeInvalid},
		{"10.0.0.0/8", "::10.1.2.3", usersync.CodeInvalid},
		{"127.0.0.0/8", "::1", usersync.CodeInvalid},
		{"::1/128", "::1", ""},
		{"fe80::/10", "fe80::1%eth0", ""},
		{"169.254.169.254/32", "169.254.169.254", ""},
		{"168.63.129.16/32", "168.63.129.16", ""},
		{"64:ff9b::/96", "64:ff9b::8.8.8.8", ""},
		{"64:ff9b::/96", "64:ff9b::10.0.0.1", usersync.CodeInvalid},
		{"64:ff9b::/96", "64:ff9b::169.254.169.254", usersync.CodeInvalid},
		{"64:ff9b:1::/48", "64:ff9b:1::10.0.0.1", ""},
		{"2002::/16", "2002:808:808::1", ""},
		{"2002::/16", "2002:a00:1::1", usersync.CodeInvalid},
		{"2001::/32", "2001:0:4136:e378:8000:63bf:f7f7:f7f7", ""}, // 8.8.8.8 inverted
		{"2001::/32", "2001:0:4136:e378:8000:63bf:f5ff:fffe", usersync.CodeInvalid},
		{"::/0", "::127.0.0.1", usersync.CodeInvalid},
		{"::/0", "::1", ""},
		{"::/0", "127.0.0.1", usersync.CodeInvalid},
		{"::/0", "::ffff:127.0.0.1", usersync.CodeInvalid},
	} {
		err := control(&outbound.Guard{Allow: prefixes(c.allow)}, c.addr, 443)
		if usersync.CodeOf(err) != c.want {
			t.Errorf("%s with %s allowed: %v, want %q", c.addr, c.allow, err, c.want)
		}
	}
	inner := &outbound.Guard{Allow: prefixes("64:ff9b::/96", "10.0.0.0/8")}
	if err := control(inner, "64:ff9b::10.0.0.1", 443); err != nil {
		t.Errorf("NAT64 of an allowed address: %v", err)
	}
}

func TestControlRefusesWhatIsNotTCPToAnAddress(t *testing.T) {
	t.Parallel()
	for _, c := range [][2]string{{"udp4", "8.8.8.8:53"}, {"unix", "/run/x.sock"}, {"tcp4", "example.com:443"}, {"tcp4", "8.8.8.8"}, {"", ""}} {
		if err := new(outbound.Guard).Control(c[0], c[1], nil); usersync.CodeOf(err) != usersync.CodeInvalid {
			t.Errorf("%s %s: %v", c[0], c[1], err)
		}
	}
}

func TestControlRefusesOwnListeners(t *testing.T) {
	t.Parallel()
	outside := outsideAddress()
	for _, c := range []struct {
		name, own, addr string
		port            uint16
		want            usersync.Code
	}{
		{"the same address", "127.0.0.1:8080", "127.0.0.1", 8080, usersync.CodeInvalid},
		{"mapped", "127.0.0.1:8080", "::ffff:127.0.0.1", 8080, usersync.CodeInvalid},
		{"listener mapped", "[::ffff:127.0.0.1]:8080", "127.0.0.1", 8080, usersync.CodeInvalid},
		{"unspecified reaches this machine", "127.0.0.1:8080", "0.0.0.0", 8080, usersync.CodeInvalid},
		{"another port", "127.0.0.1:8080", "127.0.0.1", 8081, ""},
		{"another loopback address", "127.0.0.1:8080", "127.0.0.2", 8080, ""},
		{"wildcard, loopback", "0.0.0.0:8080", "127.0.0.1", 8080, usersync.CodeInvalid},
		{"wildcard, all of loopback", "0.0.0.0:8080", "127.9.9.9", 8080, usersync.CodeInvalid},
		{"wildcard, IPv6 loopback", "[::]:8080", "::1", 8080, usersync.CodeInvalid},
		{"IPv6 wildcard takes IPv4 too", "[::]:8080", "127.0.0.1", 8080, usersync.CodeInvalid},
		{"wildcard, an interface", "0.0.0.0:8080", outside, 8080, usersync.CodeInvalid},
		{"wildcard, another port", "0.0.0.0:8080", "127.0.0.1", 8081, ""},
		{"wildcard, another machine", "0.0.0.0:8080", "203.0.113.77", 8080, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			g := &outbound.Guard{Allow: prefixes("0.0.0.0/0", "::/0"), Own: []netip.AddrPort{netip.MustParseAddrPort(c.own)}}
			if err := control(g, c.addr, c.port); usersync.CodeOf(err) != c.want {
				t.Errorf("%s:%d with own listener %s: %v, want %q", c.addr, c.port, c.own, err, c.want)
			}
		})
	}
}

// outsideAddress returns an address of an interface that is not loopback, or loopback
// if there is no such interface.
func outsideAddress() string {
	interfaces, _ := net.InterfaceAddrs()
	for _, i := range interfaces {
		if prefix, err := netip.ParsePrefix(i.String()); err == nil && !prefix.Addr().IsLoopback() {
			return prefix.Addr().Unmap().String()
		}
	}
	return "127.0.0.1"
}

func TestOwnListenersAreRefusedUntilExempt(t *testing.T) {
	t.Parallel()
	server := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	addr := addrOf(t, server)
	wildcard := netip.AddrPortFrom(netip.IPv4Unspecified(), addr.Port())
	for _, own := range []netip.AddrPort{addr, wildcard} {
		guard := loopback()
		guard.Own = []netip.AddrPort{own}
		_, err := closing(t, &outbound.Client{Guard: guard}).Do(t.Context(), get(t, server.URL))
		if !neverDialled(err) {
			t.Errorf("own listener %s: %v", own, err)
		}
		exempt := loopback()
		exempt.Own, exempt.Exempt = guard.Own, []netip.AddrPort{addr}
		if _, err := closing(t, &outbound.Client{Guard: exempt}).Do(t.Context(), get(t, server.URL)); err != nil {
			t.Errorf("own listener %s, exempt: %v", own, err)
		}
	}
	notAllowed := &outbound.Guard{Own: []netip.AddrPort{addr}, Exempt: []netip.AddrPort{addr}}
	if err := control(notAllowed, addr.Addr().String(), addr.Port()); usersync.CodeOf(err) != usersync.CodeInvalid {
		t.Errorf("exempt but not allowed: %v", err)
	}
}

func TestNamesAreCheckedWhenDialled(t *testing.T) {
	t.Parallel()
	server := serve(t, func(http.ResponseWriter, *http.Request) {})
	names := newDNS(t)
	client := closing(t, &outbound.Client{Guard: &outbound.Guard{Allow: prefixes("127.0.0.1/32")}, Resolver: names.resolver()})
	target := "http://rebind.example.com:" + strconv.Itoa(int(addrOf(t, server).Port()))

	names.set("127.0.0.1")
	if _, err := client.Do(t.Context(), get(t, target)); err != nil {
		t.Fatalf("the allowed address: %v", err)
	}
	for _, addr := range []string{"127.0.0.2", "10.0.0.1", "169.254.169.254", "0.0.0.0"} {
		client.Close() // the idle connection leads to the address that was checked
		names.set(addr)
		_, err := client.Do(t.Context(), get(t, target))
		if !neverDialled(err) {
			t.Errorf("after the name moved to %s: %v", addr, err)
		}
	}
}

func TestPlainHTTPGoesOnlyWhereAllowSaysSo(t *testing.T) {
	t.Parallel()
	names := newDNS(t)
	names.set("8.8.8.8") // public, hence dialled if this were https; never reached
	client := closing(t, &outbound.Client{Guard: loopback(), Resolver: names.resolver()})
	_, err := client.Do(t.Context(), get(t, "http://public.example.com"))
	if !neverDialled(err) {
		t.Errorf("got %v", err)
	}
}

// TestErrorsDoNotTellWhatANameResolvesTo checks that a name that does not resolve, one
// that resolves to an address which may not be dialled, one that may not be called by
// http, and a host that refuses the connection have one answer: tenants must not learn
// the names and addresses of the operator's network.
func TestErrorsDoNotTellWhatANameResolvesTo(t *testing.T) {
	t.Parallel()
	server := serve(t, func(http.ResponseWriter, *http.Request) {})
	port := strconv.Itoa(int(addrOf(t, server).Port()))
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := strconv.Itoa(closed.Addr().(*net.TCPAddr).Port)
	_ = closed.Close()
	answers := map[string]string{}
	for _, c := range []struct {
		name, resolvesTo, target string
		guard                    *outbound.Guard
	}{
		{"does not resolve", "", "https://inner.example.com:" + port, &outbound.Guard{}},
		{"does not resolve at all", "", "https://inner.invalid", &outbound.Guard{}},
		{"a private address", "10.0.0.1", "https://inner.example.com", &outbound.Guard{}},
		{"a metadata service", "169.254.169.254", "https://inner.example.com", &outbound.Guard{}},
		{"loopback, where somebody listens", "127.0.0.1", "https://inner.example.com:" + port, &outbound.Guard{}},
		{"loopback, where nobody listens", "127.0.0.1", "https://inner.example.com:" + nobody, &outbound.Guard{}},
		{"our own listener", "127.0.0.1", "http://inner.example.com:" + port, &outbound.Guard{Allow: prefixes("127.0.0.0/8"), Own: []netip.AddrPort{addrOf(t, server)}}},
		{"not by http", "8.8.8.8", "http://inner.example.com", loopback()},
		{"refuses the connection", "127.0.0.1", "http://inner.example.com:" + nobody, loopback()},
		{"a private address itself", "", "https://10.0.0.1", &outbound.Guard{}},
	} {
		names := newDNS(t)
		if c.resolvesTo != "" {
			names.set(c.resolvesTo)
		}
		response, err := closing(t, &outbound.Client{Guard: c.guard, Resolver: names.resolver()}).Do(t.Context(), get(t, c.target))
		e := usersync.AsError(err)
		if e == nil || response != nil {
			t.Fatalf("%s: %v", c.name, response)
		}
		answers[string(e.Code)+": "+e.Message] += c.name + "; "
	}
	if len(answers) != 1 {
		t.Errorf("the answers differ: %q", answers)
	}
}
