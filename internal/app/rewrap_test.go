package app_test

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"usersync/internal/app"
	"usersync/internal/delivery"
	"usersync/internal/seal"
	"usersync/internal/store"
	"usersync/internal/tenant"
	"usersync/internal/usersync"
)

// Sealing keys; the texts are base64 of 32 bytes.
const (
	olderKey = "olderkey:MTExMTExMTExMTExMTExMTExMTExMTExMTExMTExMTE="
	newerKey = "newerkey:MjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjI="
)

// sealOne makes a database in dir, or finds the one that is there, and seals
// something with the first of keys.
func sealOne(t *testing.T, dir, keys string) {
	t.Helper()
	parsed, err := seal.ParseKeys(usersync.NewSecret(keys))
	must(t, err)
	s, err := store.Open(t.Context(), store.Options{Dir: dir, Seal: parsed})
	must(t, err)
	_, err = s.Migrate(t.Context())
	must(t, err)
	o, err := tenant.Create(t.Context(), s, "test", tenant.Organization{Name: "Example Inc."})
	must(t, err)
	e := delivery.Endpoint{URL: "https://hooks.example.com/", EventTypes: []string{"*"}}
	_, err = delivery.CreateEndpoint(t.Context(), s.Org(o.ID), "test", e, usersync.NewSecret("secret"))
	must(t, err)
	must(t, s.Close())
}

func TestRewrapKeysSaysWhichKeysAreNeeded(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	rewrap := func(keys string) (string, string) {
		t.Helper()
		var out bytes.Buffer
		err := app.RewrapKeys(t.Context(), []string{"DATA_DIR=" + dir, "SEALING_KEYS=" + keys}, &out, io.Discard)
		if err == nil {
			return out.String(), ""
		}
		return out.String(), err.Error()
	}
	want := func(text string, lines ...string) {
		t.Helper()
		words := strings.Join(strings.Fields(text), " ")
		for _, line := range lines {
			if !strings.Contains(words, line) {
				t.Errorf("%q is not in\n%s", line, text)
			}
		}
	}
	both := newerKey + "," + olderKey
	sealOne(t, dir, olderKey)
	sealOne(t, dir, both)

	out, failure := rewrap(newerKey)
	want(out, "key newerkey 1 values seals", "key olderkey 1 values missing from SEALING_KEYS")
	want(failure, "1 values cannot be opened", `"olderkey", which is missing`)

	out, failure = rewrap(both)
	want(out, "webhook_endpoints.secret 2 values, 1 wrapped again", "key newerkey 2 values seals",
		"key olderkey 0 values needed by nothing: take it out", "every process has been restarted with newerkey in front")
	if failure != "" {
		t.Error(failure)
	}

	out, failure = rewrap(newerKey)
	want(out, "webhook_endpoints.secret 2 values, 0 wrapped again", "key newerkey 2 values seals")
	if failure != "" || strings.Contains(out, "take it out") {
		t.Errorf("%s in\n%s", failure, out)
	}
}
