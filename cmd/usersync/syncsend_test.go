package main

import (
	"testing"

	"usersync/internal/importfile"
)

func TestSyncSendsAnAddressAsTheAPITakesIt(t *testing.T) {
	t.Parallel()
	for cell, want := range map[string]string{
		"ann@example.com": "ann@example.com", "mailto:ann@example.com": "ann@example.com", "Ann Lee <ann@example.com>;": "ann@example.com",
		"ann@example.com ::: lee@example.com": "ann@example.com", "no address": "no address", "": "",
	} {
		if got := userOf(importfile.Row{Values: map[importfile.Field]string{importfile.Email: cell}}).Email; got != want {
			t.Errorf("%q goes out as %q, want %q", cell, got, want)
		}
	}
}
