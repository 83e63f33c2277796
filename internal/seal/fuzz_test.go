package seal

import (
	"bytes"
	"regexp"
	"strings"
	"testing"

	"usersync/internal/usersync"
)

// FuzzOpen offers any text as a sealed value: only what was sealed opens, and
// what can be read as an envelope reads back as it was.
func FuzzOpen(f *testing.F) {
	keys, err := ParseKeys(usersync.NewSecret(NewKey() + "," + NewKey()))
	if err != nil {
		f.Fatal(err)
	}
	genuine, err := keys.Seal([]byte("secret"), "place")
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{
		genuine, genuine[:len(genuine)-1], strings.Replace(genuine, "v1.", "v2.", 1), "v1.k.AA.AA", "v1...", "....", "",
		"v1." + keys.FirstID() + "..", "v1." + keys.FirstID() + ".AAAA\n.AAAA", "v1." + keys.FirstID() + ".AB.AB",
	} {
		f.Add(seed, "place")
	}
	f.Fuzz(func(t *testing.T, sealed, place string) {
		plain, err := keys.Open(sealed, place)
		if err == nil && (sealed != genuine || place != "place" || string(plain) != "secret") {
			t.Fatalf("%q opens", sealed)
		}
		if err != nil && (usersync.CodeOf(err) != usersync.CodeInternal || len(plain) > 0) {
			t.Fatalf("%q gave %q, %v", sealed, plain, err)
		}
		if e, err := parseEnvelope(sealed); err == nil && e.String() != sealed {
			t.Fatalf("%q reads back as %q", sealed, e)
		}
	})
}

// FuzzSeal seals any bytes for any place: they open there and nowhere else, also
// after the key was changed, and a changed byte opens nothing.
func FuzzSeal(f *testing.F) {
	old, fresh := NewKey(), NewKey()
	before, err := ParseKeys(usersync.NewSecret(old))
	if err != nil {
		f.Fatal(err)
	}
	after, err := ParseKeys(usersync.NewSecret(fresh + "," + old))
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte("secret"), "webhook_endpoints/org_1/whe_1/secret", uint16(5))
	f.Add([]byte{}, "", uint16(0))
	f.Add([]byte("\x00\xff.\n"), "a.b", uint16(999))
	f.Fuzz(func(t *testing.T, plain []byte, place string, at uint16) {
		sealed, err := before.Seal(plain, place)
		if err != nil {
			t.Fatal(err)
		}
		if len(plain) > 8 && strings.Contains(sealed, string(plain)) {
			t.Fatal("the sealed text shows the value")
		}
		rewrapped, changed, err := after.Rewrap(sealed, place)
		if err != nil || !changed {
			t.Fatalf("wrapped again: %v, %v", changed, err)
		}
		for _, text := range []string{sealed, rewrapped} {
			if got, err := after.Open(text, place); err != nil || !bytes.Equal(got, plain) {
				t.Fatalf("opened %q, %v", got, err)
			}
			if _, err := after.Open(text, place+"x"); err == nil {
				t.Fatal("opens in another place")
			}
			bent := []byte(text)
			bent[int(at)%len(bent)] ^= 1
			if _, err := after.Open(string(bent), place); err == nil {
				t.Fatalf("opens with byte %d changed", int(at)%len(bent))
			}
		}
	})
}

// quoted is the id in a refusal.
var quoted = regexp.MustCompile(`key (id )?"[A-Za-z0-9_-]*"`)

// FuzzParseKeys reads any text as SEALING_KEYS: what is taken seals and opens,
// and a refusal shows no key.
func FuzzParseKeys(f *testing.F) {
	key := NewKey()
	for _, seed := range []string{key, key + ", " + NewKey(), key + "," + key, "k:", ":", ",", "k:AAAA", " " + strings.TrimRight(key, "="), "k:" + strings.Repeat("A", 43)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		keys, err := ParseKeys(usersync.NewSecret(text))
		if err != nil {
			if usersync.CodeOf(err) != usersync.CodeInvalid {
				t.Fatalf("code of %v", err)
			}
			// Ids may be shown, and may be a part of a key by chance.
			shown := quoted.ReplaceAllString(err.Error(), "")
			for _, entry := range strings.Split(text, ",") {
				if _, secret, _ := strings.Cut(entry, ":"); len(secret) >= 16 && strings.Contains(shown, secret) {
					t.Fatalf("the refusal shows the key: %v", err)
				}
			}
			return
		}
		sealed, err := keys.Seal([]byte("x"), "p")
		if err != nil {
			t.Fatal(err)
		}
		if id, err := KeyID(sealed); err != nil || id != keys.FirstID() {
			t.Fatalf("sealed under %q, %v", id, err)
		}
		if _, err := keys.Open(sealed, "p"); err != nil {
			t.Fatal(err)
		}
	})
}
