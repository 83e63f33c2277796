package outbound_test

import (
	"fmt"
	"net/http"
	"net/netip"
	"time"

	"usersync/internal/outbound"
	"usersync/internal/usersync"
)

// A URL is checked when it is saved. Its address is checked again when it is dialled.
func ExampleGuard_CheckURL() {
	guard := &outbound.Guard{}
	for _, url := range []string{"https://hooks.example.com/in", "http://hooks.example.com/in", "https://10.0.0.7/", "https://0x7f000001/"} {
		if _, err := guard.CheckURL(url); err != nil {
			fmt.Println(url, "is refused:", usersync.AsError(err).Message)
			continue
		}
		fmt.Println(url, "is taken")
	}
	guard = &outbound.Guard{Allow: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}
	_, err := guard.CheckURL("https://10.0.0.7/")
	fmt.Println("with EGRESS_ALLOW:", err)
	// Output:
	// https://hooks.example.com/in is taken
	// http://hooks.example.com/in is refused: The URL is not valid: expected https://.
	// https://10.0.0.7/ is refused: The address is not allowed: expected a public address, reached by https.
	// https://0x7f000001/ is refused: The URL is not valid: expected an IPv4 address as four decimal numbers.
	// with EGRESS_ALLOW: <nil>
}

// The other side says how long to wait in one of several headers.
func ExampleRetryAfter() {
	now := time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC)
	fmt.Println(outbound.RetryAfter(http.Header{"Retry-After": {"120"}}, now))
	fmt.Println(outbound.RetryAfter(http.Header{"Retry-After": {"Fri, 02 Jan 2026 15:05:05 GMT"}}, now))
	fmt.Println(outbound.RetryAfter(http.Header{}, now))
	// Output:
	// 2m0s true
	// 1m0s true
	// 0s false
}
