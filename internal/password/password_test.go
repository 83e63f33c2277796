package password

import (
	"errors"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"usersync/internal/usersync"
)

func TestAPasswordFitsItsHashAndNoOther(t *testing.T) {
	t.Parallel()
	h := NewHasher()
	hash := func(text string) usersync.Secret {
		got, err := h.Hash(t.Context(), "org_1", usersync.NewSecret(text))
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	one, again := hash("correct horse"), hash("correct horse")
	if one == again || !strings.HasPrefix(one.Reveal(), "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Errorf("two hashes of a password are the same, or have other parameters: %s", one.Reveal())
	}
	for _, c := range []struct {
		password string
		hash     usersync.Secret
		want     Verdict
	}{
		{"correct horse", one, Verdict{Fits: true}},
		{"correct horsf", one, Verdict{}},
		{"", one, Verdict{}},
		{"correct horse", usersync.Secret{}, Verdict{}},
		{"", usersync.Secret{}, Verdict{}},
		{"correct horse", usersync.NewSecret("$argon2id$"), Verdict{}},
		{"correct horse", usersync.NewSecret(strings.Replace(one.Reveal(), "m=19456", "m=4194304", 1)), Verdict{}},
	} {
		got, err := h.Compare(t.Context(), "org_1", usersync.NewSecret(c.password), c.hash)
		if err != nil || got != c.want {
			t.Errorf("%q and %q: %+v %v", c.password, c.hash.Reveal(), got, err)
		}
	}
}

// The test vector of RFC 9106, section 5.3, has a secret and associated data, which no
// password has. This one is of the reference implementation's own tests.
func TestAHashOfTheReferenceFits(t *testing.T) {
	t.Parallel()
	const known = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"
	got, err := NewHasher().Compare(t.Context(), "org_1", usersync.NewSecret("password"), usersync.NewSecret(known))
	if err != nil || !got.Fits || !got.Outdated {
		t.Errorf("%+v %v", got, err)
	}
}

func TestWhoSendsManyPasswordsLeavesPlacesToOthers(t *testing.T) {
	t.Parallel()
	h := NewHasher()
	for range cap(h.turns) {
		h.turns <- struct{}{} // as if all turns were taken
	}
	var all sync.WaitGroup
	var refused, served atomic.Int64
	free := func() {
		for range cap(h.turns) {
			<-h.turns
		}
	}
	for range maxWaiting {
		all.Go(func() {
			_, err := h.Hash(t.Context(), "org_many", usersync.NewSecret("12345678"))
			switch {
			case errors.Is(err, ErrBusy):
				refused.Add(1)
			case err == nil:
				served.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	for refused.Load() < maxWaiting/2 {
		runtime.Gosched()
	}
	all.Go(func() {
		if _, err := h.Hash(t.Context(), "org_other", usersync.NewSecret("12345678")); err != nil {
			t.Errorf("another organization is refused: %v", err)
		}
	})
	for h.waiting.Taken() <= maxWaiting/2 {
		runtime.Gosched()
	}
	free()
	all.Wait()
	if served.Load() != maxWaiting/2 || h.waiting.Taken() != 0 {
		t.Errorf("%d served, %d refused, %d places held", served.Load(), refused.Load(), h.waiting.Taken())
	}
}

func TestWhoLeavesGivesThePlaceBack(t *testing.T) {
	t.Parallel()
	h := NewHasher()
	for range cap(h.turns) {
		h.turns <- struct{}{}
	}
	ctx, cancel := contextThatEnded(t)
	defer cancel()
	if _, err := h.Hash(ctx, "org_1", usersync.NewSecret("12345678")); !errors.Is(err, ctx.Err()) || h.waiting.Taken() != 0 {
		t.Errorf("%v, %d places held", err, h.waiting.Taken())
	}
}

func TestTheLengthOfAPasswordIsBounded(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"1234567": false, "12345678": true, "pässwörd": true, strings.Repeat("x", Most): true, strings.Repeat("x", Most+1): false, "\xff2345678": false,
	} {
		if Valid(text) != want {
			t.Errorf("%q is valid: %v", text, !want)
		}
	}
}
