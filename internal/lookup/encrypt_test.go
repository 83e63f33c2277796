package lookup_test

import (
	"encoding/base64"
	"strings"
	"testing"

	"usersync/internal/config"
	"usersync/internal/lookup"
	"usersync/internal/seal"
	"usersync/internal/usersync"
)

func service(t *testing.T, keys string) *lookup.Service {
	t.Helper()
	parsed, err := seal.ParseKeys(usersync.NewSecret(keys))
	if err != nil {
		t.Fatal(err)
	}
	return &lookup.Service{Keys: parsed}
}

func TestAnEncryptedIDOpensForItsOrganizationAndKindAlone(t *testing.T) {
	t.Parallel()
	keys := config.NewSealingKeys().Reveal()
	s := service(t, keys)
	text := s.EncryptID("org_1", "user_1")
	if id, err := s.DecryptID("org_1", text); id != "user_1" || err != nil {
		t.Fatal(id, err)
	}
	if s.EncryptID("org_1", "user_1") != text {
		t.Error("the same id looks different")
	}
	if strings.Contains(text, base64.RawURLEncoding.EncodeToString([]byte("user_1"))) {
		t.Error("the id shows")
	}
	if s.EncryptID("org_2", "user_1") == text || s.EncryptEmail("org_1", "user_1") == text {
		t.Error("organizations or kinds are not told apart")
	}
	for name, try := range map[string]func() (string, error){
		"another organization": func() (string, error) { return s.DecryptID("org_2", text) },
		"another kind":         func() (string, error) { return s.DecryptEmail("org_1", text) },
		"other keys":           func() (string, error) { return service(t, config.NewSealingKeys().Reveal()).DecryptID("org_1", text) },
		"padding":              func() (string, error) { return s.DecryptID("org_1", text+"=") },
		"a line break":         func() (string, error) { return s.DecryptID("org_1", text[:4]+"\n"+text[4:]) },
		"nothing":              func() (string, error) { return s.DecryptID("org_1", "") },
		"too much":             func() (string, error) { return s.DecryptID("org_1", strings.Repeat("A", 100_000)) },
		"half":                 func() (string, error) { return s.DecryptID("org_1", text[:len(text)/2]) },
	} {
		if got, err := try(); err == nil {
			t.Errorf("%s opens as %q", name, got)
		}
	}
	raw, _ := base64.RawURLEncoding.DecodeString(text)
	for i := range raw {
		changed := append([]byte{}, raw...)
		changed[i] ^= 1
		if got, err := s.DecryptID("org_1", base64.RawURLEncoding.EncodeToString(changed)); err == nil {
			t.Errorf("changed at %d it opens as %q", i, got)
		}
	}
}

func TestAnEncryptedIDOpensAfterTheKeysWereRotated(t *testing.T) {
	t.Parallel()
	first := config.NewSealingKeys().Reveal()
	text := service(t, first).EncryptID("org_1", "user_1")
	if id, err := service(t, seal.NewKey()+","+first).DecryptID("org_1", text); id != "user_1" || err != nil {
		t.Error(id, err)
	}
}

func FuzzDecrypt(f *testing.F) {
	keys, err := seal.ParseKeys(config.NewSealingKeys())
	if err != nil {
		f.Fatal(err)
	}
	s := &lookup.Service{Keys: keys}
	f.Add(s.EncryptID("org_2", "user_1"))
	f.Add("AA")
	f.Add("_____w")
	f.Fuzz(func(t *testing.T, text string) {
		if id, err := s.DecryptID("org_1", text); err == nil {
			t.Errorf("%q opens as %q", text, id)
		}
	})
}
