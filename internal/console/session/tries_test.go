package session

import (
	"testing"
	"testing/synctest"
	"time"

	"usersync/internal/api"
)

func TestWrongKeysAreThrottledByAddress(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tries := NewTries()
		for range triesAtOnce {
			if wait := tries.Wait("192.0.2.1:1"); wait != 0 {
				t.Fatalf("has to wait for %s", wait)
			}
			tries.Note("192.0.2.1:1")
		}
		if wait := tries.Wait("192.0.2.1:2"); wait <= 0 || wait > triesEvery {
			t.Errorf("waits for %s", wait)
		}
		if wait := tries.Wait("192.0.2.2:1"); wait != 0 {
			t.Error("another address has to wait")
		}
		time.Sleep(triesEvery) // of the bubble's clock
		if wait := tries.Wait("192.0.2.1:1"); wait != 0 {
			t.Errorf("after a while, waits for %s", wait)
		}
	})
	if api.NetworkOf("[2001:db8::1]:5") != api.NetworkOf("[2001:db8::2]:6") || api.NetworkOf("[2001:db8::1]:5") == api.NetworkOf("[2001:db8:0:1::1]:5") {
		t.Error("IPv6 is not told apart by network")
	}
}
