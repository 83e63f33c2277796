package usersync_test

import (
	"strings"
	"testing"
	"time"

	"usersync/internal/usersync"
)

// prefixes are those of ids that are offered to the API.
var prefixes = []usersync.Prefix{
	usersync.PrefixRequest, usersync.PrefixUser, usersync.PrefixKey, usersync.PrefixEndpoint, usersync.PrefixDelivery,
	usersync.PrefixImport, usersync.PrefixErasure, usersync.PrefixEvent, usersync.PrefixConnection,
}

// FuzzID checks that an id is of one kind at most, holds nothing but letters and
// digits, and that whatever an id is derived from gives one of the right form.
func FuzzID(f *testing.F) {
	for _, seed := range []string{
		usersync.NewID(usersync.PrefixRequest), "req_", "req_01kb5s2r4v0g1h2j3k4m5n6p7q", "user_000000000000000000000000", "req_ILOU",
		"del_01kb5s2r4v0g1h2j3k4m5n6p7q8r9s0t1v", "req_01kb5s2r4v0g1h2j3k4m5n6p7q\x00", "REQ_01kb5s2r4v0g1h2j3k4m5n6p7q", "_", "", "req__01kb5s2r4v0g1h2j3k4m5n6p7",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		kinds := 0
		for _, p := range prefixes {
			if !usersync.HasPrefix(text, p) {
				continue
			}
			kinds++
			if len(text) > 40 || strings.Trim(text, "_0123456789abcdefghijklmnopqrstuvwxyz") != "" || strings.Count(text, "_") != 1 {
				t.Fatalf("%q is an id", text)
			}
		}
		if kinds > 1 {
			t.Fatalf("%q is of %d kinds", text, kinds)
		}
		derived := usersync.DeriveID(usersync.PrefixMessage, text, "part")
		if again := usersync.DeriveID(usersync.PrefixMessage, text, "part"); derived != again {
			t.Fatalf("%q gives %s and %s", text, derived, again)
		}
		if kinds == 1 && !usersync.HasPrefix(derived, usersync.PrefixMessage) {
			t.Fatalf("%q gives %s", text, derived)
		}
		if keyed := usersync.KeyedID(usersync.PrefixUser, []byte("salt"), text); !usersync.HasPrefix(keyed, usersync.PrefixUser) {
			t.Fatalf("%q gives %s", text, keyed)
		}
	})
}

// FuzzIDBound checks that the borders of range scans sort like the times.
func FuzzIDBound(f *testing.F) {
	f.Add(int64(0), int64(1))
	f.Add(int64(1767225600000), int64(1767225600001))
	f.Add(int64(-5), int64(1<<49))
	f.Fuzz(func(t *testing.T, a, b int64) {
		const most = 1<<50 - 1
		a, b = min(max(a, 0), most), min(max(b, 0), most)
		x, y := usersync.IDBound(usersync.PrefixRequest, time.UnixMilli(a)), usersync.IDBound(usersync.PrefixRequest, time.UnixMilli(b))
		if (a < b) != (x < y) || (a == b) != (x == y) {
			t.Fatalf("%d and %d give %s and %s", a, b, x, y)
		}
	})
}
