//go:build unix

package system

import "testing"

func TestFreeAddrGivesNoAddressTwice(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for range 500 {
		addr := FreeAddr(t)
		if seen[addr] {
			t.Fatalf("%s was given out before", addr)
		}
		seen[addr] = true
	}
}
