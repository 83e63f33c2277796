package seal

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"usersync/internal/usersync"
)

const row = "webhook_endpoints/whe_1/secret"

func parse(t *testing.T, pairs ...string) *Keys {
	t.Helper()
	keys, err := ParseKeys(usersync.NewSecret(strings.Join(pairs, ",")))
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func sealed(t *testing.T, keys *Keys, plain string) string {
	t.Helper()
	text, err := keys.Seal([]byte(plain), row)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestOpenReturnsWhatWasSealed(t *testing.T) {
	t.Parallel()
	keys := parse(t, NewKey())
	for _, plain := range [][]byte{nil, []byte("s"), []byte("whsec_abc"), bytes.Repeat([]byte{0, 255}, 4096)} {
		text, err := keys.Seal(plain, row)
		if err != nil {
			t.Fatal(err)
		}
		got, err := keys.Open(text, row)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, plain) {
			t.Errorf("%d bytes came back as %d others", len(plain), len(got))
		}
	}
}

func TestSealHidesTheValueAndNeverRepeatsItself(t *testing.T) {
	t.Parallel()
	keys := parse(t, NewKey())
	a, b := sealed(t, keys, "correct horse"), sealed(t, keys, "correct horse")
	if a == b {
		t.Error("two sealings of one value are equal")
	}
	for i, part := range strings.Split(a, ".") {
		if i > 1 && part == strings.Split(b, ".")[i] {
			t.Errorf("part %d of two sealings is equal", i)
		}
	}
	if strings.Contains(a, "correct") {
		t.Error("the value shows")
	}
}

func TestOpenRefusesEveryChangedCharacter(t *testing.T) {
	t.Parallel()
	keys := parse(t, NewKey())
	text := sealed(t, keys, "correct horse battery")
	for i := range text {
		for _, other := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=._-\n\r ") {
			if text[i] == other {
				continue
			}
			changed := text[:i] + string(other) + text[i+1:]
			if _, err := keys.Open(changed, row); usersync.CodeOf(err) != usersync.CodeInternal {
				t.Fatalf("character %d as %q: %v", i, other, err)
			}
		}
	}
}

func sealedEnvelope(t *testing.T, keys *Keys, text string) envelope {
	t.Helper()
	e, err := parseEnvelope(sealed(t, keys, text))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestOpenRefusesEveryChangedBit(t *testing.T) {
	t.Parallel()
	keys := parse(t, NewKey())
	e := sealedEnvelope(t, keys, "correct horse battery")
	for name, part := range map[string][]byte{"wrapped key": e.wrapped, "value": e.data} {
		for bit := range len(part) * 8 {
			part[bit/8] ^= 1 << (bit % 8)
			if _, err := keys.Open(e.String(), row); err == nil {
				t.Errorf("%s opens with bit %d changed", name, bit)
			}
			part[bit/8] ^= 1 << (bit % 8)
		}
	}
	if _, err := keys.Open(e.String(), row); err != nil {
		t.Fatalf("unchanged: %v", err)
	}
}

func TestOpenRefusesAnInsertedOrLostCharacter(t *testing.T) {
	t.Parallel()
	keys := parse(t, NewKey())
	text := sealed(t, keys, "correct horse")
	for i := range text {
		for _, changed := range []string{text[:i] + "\n" + text[i:], text[:i] + "A" + text[i:], text[:i] + text[i+1:], text[:i]} {
			if _, err := keys.Open(changed, row); err == nil {
				t.Errorf("opens changed at %d", i)
			}
		}
	}
}

func TestOpenRefusesAnotherRow(t *testing.T) {
	t.Parallel()
	keys := parse(t, NewKey())
	text := sealed(t, keys, "s")
	for _, aad := range []string{"", row + " ", "webhook_endpoints/whe_2/secret", strings.ToUpper(row)} {
		if _, err := keys.Open(text, aad); usersync.CodeOf(err) != usersync.CodeInternal {
			t.Errorf("aad %q: %v", aad, err)
		}
	}
}

func TestTheValueItselfIsBoundToItsRow(t *testing.T) {
	t.Parallel()
	keys := parse(t, NewKey())
	e := sealedEnvelope(t, keys, "s")
	dataKey, err := keys.unwrap(e, row)
	if err != nil {
		t.Fatal(err)
	}
	e.wrapped = keys.wrap(dataKey, "other")
	if _, err := keys.Open(e.String(), "other"); err == nil {
		t.Error("opens with only its data key moved")
	}
}

func TestOpenRefusesTheWrappedKeyOfAnotherValue(t *testing.T) {
	t.Parallel()
	keys := parse(t, NewKey())
	a, b := strings.Split(sealed(t, keys, "a"), "."), strings.Split(sealed(t, keys, "b"), ".")
	if _, err := keys.Open(strings.Join([]string{a[0], a[1], b[2], a[3]}, "."), row); err == nil {
		t.Error("opens")
	}
}

func TestOpenNamesTheKeyMissingFromSealingKeys(t *testing.T) {
	t.Parallel()
	old := strings.Replace(NewKey(), "k", "old-", 1)
	text := sealed(t, parse(t, old), "s")
	id, _, _ := strings.Cut(old, ":")
	keys := parse(t, NewKey())
	_, openErr := keys.Open(text, row)
	_, _, rewrapErr := keys.Rewrap(text, row)
	for _, err := range []error{openErr, rewrapErr} {
		if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("key %q, which is missing from SEALING_KEYS", id)) {
			t.Errorf("got %v", err)
		}
		if message := usersync.AsError(err).Message; strings.Contains(message, id) {
			t.Errorf("the caller sees %q", message)
		}
	}
}

func TestOpenRefusesAnotherKeyUnderTheSameID(t *testing.T) {
	t.Parallel()
	_, one, _ := strings.Cut(NewKey(), ":")
	_, two, _ := strings.Cut(NewKey(), ":")
	if _, err := parse(t, "k:"+two).Open(sealed(t, parse(t, "k:"+one), "s"), row); err == nil {
		t.Error("opens")
	}
}

func TestRotationKeepsOldValuesReadableUntilRewrapped(t *testing.T) {
	t.Parallel()
	oldKey, newKey := NewKey(), NewKey()
	text := sealed(t, parse(t, oldKey), "correct horse")
	both := parse(t, newKey, oldKey)
	if got, err := both.Open(text, row); err != nil || string(got) != "correct horse" {
		t.Fatalf("old value under both keys: %q, %v", got, err)
	}
	moved, changed, err := both.Rewrap(text, row)
	if err != nil || !changed {
		t.Fatalf("changed %v, %v", changed, err)
	}
	if id, _ := KeyID(moved); id != both.FirstID() {
		t.Errorf("key id is %q, want %q", id, both.FirstID())
	}
	if value := strings.Split(text, ".")[3]; strings.Split(moved, ".")[3] != value {
		t.Error("the value was encrypted again")
	}
	if got, err := parse(t, newKey).Open(moved, row); err != nil || string(got) != "correct horse" {
		t.Errorf("without the old key: %q, %v", got, err)
	}
	if _, err := parse(t, oldKey).Open(moved, row); err == nil {
		t.Error("the old key still opens it")
	}
	if again, changed, err := both.Rewrap(moved, row); again != moved || changed || err != nil {
		t.Errorf("a second rewrap: changed %v, %v", changed, err)
	}
}

func TestRewrapRefusesAnotherRow(t *testing.T) {
	t.Parallel()
	oldKey := NewKey()
	text := sealed(t, parse(t, oldKey), "s")
	if _, _, err := parse(t, NewKey(), oldKey).Rewrap(text, "other"); err == nil {
		t.Error("rewrapped")
	}
}

func TestKeyIDRefusesWhatIsNotSealed(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "v1", "v2.k.AAAA.AAAA", "v1..AAAA.AAAA", "v1.k.AAAA.AAAA.AAAA", "v1.k.AA=.AAAA", "v1.k.AAAA.A"} {
		if id, err := KeyID(text); usersync.CodeOf(err) != usersync.CodeInternal {
			t.Errorf("%q has key id %q, %v", text, id, err)
		}
	}
}

func TestParseKeysNamesTheFaultAndShowsNoKey(t *testing.T) {
	t.Parallel()
	_, key, _ := strings.Cut(NewKey(), ":")
	for _, c := range []struct{ name, text, want string }{
		{"empty", " ", "is empty"},
		{"no colon", key, "entry 1: there is no colon"},
		{"key in the place of the id", key + ":k1", "entry 1: the id"},
		{"id with a dot", "a.b:" + key, "entry 1: the id"},
		{"empty id", ":" + key, "entry 1: the id"},
		{"short", "k1:" + key[:20], `key "k1" has 15 bytes`},
		{"not base64", "k1:*" + key, `key "k1" is not base64`},
		{"trailing comma", "k1:" + key + ",", "entry 2: there is no colon"},
		{"twice", "k1:" + key + ",k1:" + key, `entry 2: key id "k1" is used twice`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := ParseKeys(usersync.NewSecret(c.text))
			if usersync.CodeOf(err) != usersync.CodeInvalid || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			if err != nil && strings.Contains(err.Error(), key[:16]) {
				t.Errorf("shows the key: %v", err)
			}
		})
	}
}

func TestParseKeysTakesSpacesAndMissingPadding(t *testing.T) {
	t.Parallel()
	one, two := NewKey(), strings.TrimRight(NewKey(), "=")
	keys := parse(t, " "+one+" ", "\n"+two+"\n")
	if id, _, _ := strings.Cut(one, ":"); keys.FirstID() != id {
		t.Errorf("the first key is %q, want %q", keys.FirstID(), id)
	}
	if _, err := keys.Open(sealed(t, parse(t, two), "s"), row); err != nil {
		t.Errorf("the second key does not open: %v", err)
	}
}

func TestKeysDoNotPrint(t *testing.T) {
	t.Parallel()
	keys := parse(t, NewKey())
	if got := fmt.Sprintf("%v %+v %#v %s", keys, keys, keys, keys); strings.ReplaceAll(got, "[sealing keys]", "") != "   " {
		t.Errorf("prints %q", got)
	}
}
