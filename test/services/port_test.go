//go:build unix

package services

import "testing"

func TestFreeAddrGivesNoAddressTwice(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for range 500 {
		addr, err := FreeAddr()
		if err != nil {
			t.Fatal(err)
		}
		if seen[addr] {
			t.Fatalf("%s was given out before", addr)
		}
		seen[addr] = true
	}
}
