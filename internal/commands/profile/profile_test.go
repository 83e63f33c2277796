package profile_test

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"usersync/internal/commands/profile"
	"usersync/internal/usersync"
)

func open(t *testing.T) *profile.File {
	t.Helper()
	f, err := profile.Open()
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestProfilesAreKeptForTheirOwnerOnly(t *testing.T) { //nolint:paralleltest // it sets the environment
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	t.Setenv("HOME", t.TempDir())
	f := open(t)
	if f.Current() != "" || len(f.Names()) != 0 {
		t.Errorf("somebody without a file has %v", f.Names())
	}
	for _, name := range []string{"prod", "dev"} {
		if err := f.Put(profile.Profile{Name: name, URL: "https://" + name + ".example", Key: usersync.NewSecret("usk_" + name)}); err != nil {
			t.Fatal(err)
		}
	}
	info, err := os.Stat(f.Path())
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v, %v", info, err)
	}
	f = open(t)
	if f.Current() != "prod" || !slices.Equal(f.Names(), []string{"dev", "prod"}) {
		t.Errorf("%s is in use of %v", f.Current(), f.Names())
	}
	if err := f.Use("dev"); err != nil {
		t.Fatal(err)
	}
	p, err := open(t).Get(open(t).Current())
	if err != nil || p.URL != "https://dev.example" || p.Key.Reveal() != "usk_dev" {
		t.Errorf("%v, %v", p, err)
	}
	if err := f.Remove("dev"); err != nil || open(t).Current() != "" {
		t.Errorf("%v", err)
	}
	for what, err := range map[string]error{"use": f.Use("dev"), "remove": f.Remove("dev")} {
		if !errors.Is(err, profile.ErrUnknown) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// A message must not have what stands in the file.
func TestAFileThatIsNoneSaysWhereItIsAndNothingOfIt(t *testing.T) { //nolint:paralleltest // it sets the environment
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	t.Setenv("HOME", t.TempDir())
	f := open(t)
	if err := f.Put(profile.Profile{Name: "a", Key: usersync.NewSecret("k")}); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(f.Path(), []byte("profiles: usk_secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := profile.Open()
	if err == nil || !strings.Contains(err.Error(), f.Path()) || strings.Contains(err.Error(), "usk_secret") {
		t.Errorf("%v", err)
	}
}

func TestNamesAreWords(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{"prod": true, "eu-1.b": true, "": false, "-x": false, "a b": false, "a/b": false} {
		if profile.ValidName(name) != want {
			t.Errorf("%q: %t", name, !want)
		}
	}
}
