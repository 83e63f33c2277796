package outbound_test

import (
	"net"
	"net/http"
	"net/netip"
	"testing"
	"time"

	"usersync/internal/outbound"
	"usersync/internal/usersync"
)

// FuzzRetryAfter checks rules that hold for any header. A wait lies between 0 and 24
// h in whole milliseconds. It is never longer for a later clock. Retry-After has
// precedence over every reset header.
func FuzzRetryAfter(f *testing.F) {
	for _, seed := range [][2]string{
		{"120", ""}, {"", "60"}, {"Wed, 21 Oct 2026 07:28:00 GMT", "3"}, {"-5", "1767225600"}, {"0.5", "1.5"}, {"1e3", "0x10"},
		{"99999999999999999999999999", ""}, {"inf", "nan"}, {"--1", "1.2.3"}, {" 7 ", "\t8"}, {"", "999999999.999"}, {"1_000", "+3"},
	} {
		f.Add(seed[0], seed[1], int64(1767225600))
	}
	names := []string{"X-RateLimit-Reset", "X-Sib-RateLimit-Reset", "RateLimit-Reset"}
	f.Fuzz(func(t *testing.T, after, reset string, unix int64) {
		now := time.Unix(unix&(1<<32-1), 0)
		alone, aloneOK := outbound.RetryAfter(http.Header{"Retry-After": {after}}, now)
		checkWait(t, alone, aloneOK)
		for _, name := range names {
			h := http.Header{"Retry-After": {after}}
			h.Set(name, reset)
			both, ok := outbound.RetryAfter(h, now)
			checkWait(t, both, ok)
			if aloneOK && (!ok || both != alone) {
				t.Fatalf("Retry-After %q is %v, with %s %q it is %v", after, alone, name, reset, both)
			}
			// The same headers an hour later never mean a longer wait.
			if late, _ := outbound.RetryAfter(h, now.Add(time.Hour)); late > both {
				t.Fatalf("%v: %v, and an hour later %v", h, both, late)
			}
		}
	})
}

func checkWait(t *testing.T, wait time.Duration, ok bool) {
	t.Helper()
	if wait < 0 || wait > time.Hour || wait%time.Millisecond != 0 || !ok && wait != 0 {
		t.Fatalf("wait %v, %v", wait, ok)
	}
}

// FuzzGuard checks that the same address is judged the same as a dialled address, in
// its IPv6 form and in a URL that is saved, and that the standard library too calls
// every accepted address public.
func FuzzGuard(f *testing.F) {
	for _, c := range forbidden {
		b := netip.MustParseAddr(c.addr).WithZone("").As16()
		f.Add(b[:], uint16(443))
	}
	for _, addr := range []string{"8.8.8.8", "2606:4700::1111", "172.32.0.1", "2002:808:808::1", "100.128.0.1"} {
		b := netip.MustParseAddr(addr).As16()
		f.Add(b[:], uint16(8080))
	}
	f.Fuzz(func(t *testing.T, raw []byte, port uint16) {
		if len(raw) != 16 || port == 0 {
			return
		}
		addr := netip.AddrFrom16([16]byte(raw))
		plain := addr.Unmap()
		strict := &outbound.Guard{}
		err := control(strict, addr.String(), port)
		if usersync.CodeOf(err) != usersync.CodeInvalid && err != nil {
			t.Fatalf("%s: %v", addr, err)
		}
		if same := control(strict, plain.String(), port); (same == nil) != (err == nil) {
			t.Fatalf("%s: %v, but %s: %v", addr, err, plain, same)
		}
		for _, scheme := range []string{"https://", "http://"} {
			_, saved := strict.CheckURL(scheme + net.JoinHostPort(plain.String(), "443") + "/x")
			if want := scheme == "https://" && control(strict, plain.String(), 443) == nil; (saved == nil) != want {
				t.Fatalf("%s%s when saved: %v, when dialled: %v", scheme, plain, saved, err)
			}
		}
		if err == nil && (!plain.IsGlobalUnicast() || plain.IsPrivate() || plain.IsLoopback() || plain.IsLinkLocalUnicast() || plain.IsMulticast() || plain.IsUnspecified()) {
			t.Fatalf("%s may be dialled", plain)
		}
		if err := control(&outbound.Guard{Allow: prefixes("0.0.0.0/0", "::/0"), Own: []netip.AddrPort{netip.AddrPortFrom(plain, port)}}, addr.String(), port); err == nil {
			t.Fatalf("own listener %s may be dialled as %s", plain, addr)
		}
	})
}

// FuzzRefusedURLIsNotDialled calls URLs whose host is an address, without the check
// that is made when a URL is saved. No connection to an address that is not public
// may begin.
func FuzzRefusedURLIsNotDialled(f *testing.F) {
	for _, seed := range []string{
		"http://127.0.0.1:1/", "https://[::ffff:127.0.0.1]:1/", "http://[::1]:1", "https://0.0.0.0:1", "http://[fe80::1%25lo]:1/",
		"https://10.0.0.1", "HTTP://127.1.2.3:1/", "https://[64:ff9b::7f00:1]:1", "http://[::]:1/", "https://127.0.0.1:1@127.0.0.1:1/",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, raw, nil)
		if err != nil {
			return
		}
		addr, err := netip.ParseAddr(request.URL.Hostname())
		if err != nil || control(&outbound.Guard{}, addr.WithZone("").String(), 443) == nil {
			return // a name, or an address that may be dialled
		}
		client := &outbound.Client{Timeout: time.Second}
		defer client.Close()
		_, err = client.Do(t.Context(), request)
		if usersync.CodeOf(err) != usersync.CodeInvalid && !neverDialled(err) {
			t.Fatalf("%q: %v", raw, err)
		}
	})
}
