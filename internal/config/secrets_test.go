package config

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func TestEnsureSecretsMakesFilesOnlyTheOwnerCanRead(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "deep", "data")
	c := load(t, "DATA_DIR="+dir)
	if err := c.EnsureSecrets(); err != nil {
		t.Fatal(err)
	}
	wantMode(t, dir, fs.ModeDir|0o700)
	wantMode(t, filepath.Join(dir, "admin-token"), 0o600)
	wantMode(t, filepath.Join(dir, "sealing-keys"), 0o600)
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 2 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
	if !isToken(c.AdminToken.Reveal()) || !areSealingKeys(c.SealingKeys.Reveal()) {
		t.Error("made secrets that Load would refuse")
	}
}

func wantMode(t *testing.T, path string, want fs.FileMode) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode() != want {
		t.Errorf("%s has mode %v, want %v", path, info.Mode(), want)
	}
}

func TestEnsureSecretsKeepsWhatItMade(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first, second := load(t, "DATA_DIR="+dir), load(t, "DATA_DIR="+dir)
	for _, c := range []*Config{first, second} {
		if err := c.EnsureSecrets(); err != nil {
			t.Fatal(err)
		}
	}
	if first.SealingKeys.Reveal() != second.SealingKeys.Reveal() || first.AdminToken.Reveal() != second.AdminToken.Reveal() {
		t.Error("the second start has other secrets")
	}
}

func TestEnsureSecretsOfRacingProcessesAgree(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	all := make([]*Config, 16)
	var group sync.WaitGroup
	for i := range all {
		all[i] = load(t, "DATA_DIR="+dir)
		group.Go(func() {
			if err := all[i].EnsureSecrets(); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	for _, c := range all {
		if c.SealingKeys.Reveal() != all[0].SealingKeys.Reveal() || c.AdminToken.Reveal() != all[0].AdminToken.Reveal() {
			t.Fatal("two processes have different secrets")
		}
	}
}

func TestEnsureSecretsPrefersTheEnvironment(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := load(t, "DATA_DIR="+dir, "ADMIN_TOKEN=0123456789abcdef")
	if err := c.EnsureSecrets(); err != nil {
		t.Fatal(err)
	}
	if c.AdminToken.Reveal() != "0123456789abcdef" {
		t.Error("the token of the environment is not in force")
	}
	if _, err := os.Stat(filepath.Join(dir, "admin-token")); err == nil {
		t.Error("made a token nobody needs")
	}
}

func TestEnsureSecretsWritesNothingWhenDeployed(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	if err := load(t, deployed("DATA_DIR="+dir)...).EnsureSecrets(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); err == nil {
		t.Error("made a data directory")
	}
}

func TestEnsureSecretsNeverReplacesADamagedFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "sealing-keys")
	if err := os.WriteFile(path, []byte("k2345abc:AAA"), 0o600); err != nil {
		t.Fatal(err)
	}
	err := load(t, "DATA_DIR="+dir).EnsureSecrets()
	if want := "SEALING_KEYS: " + path + " is damaged; restore it from a backup"; err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	if text, _ := os.ReadFile(path); string(text) != "k2345abc:AAA" {
		t.Error("the file was changed")
	}
}

func TestKeptSecretsAreClosedToOthers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "sealing-keys")
	if err := os.WriteFile(path, []byte(goodKeys), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := load(t, "DATA_DIR="+dir).ReadSecrets(); err != nil {
		t.Fatal(err)
	}
	wantMode(t, path, 0o600)
}

func TestReadSecretsMakesNothing(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	c := load(t, "DATA_DIR="+dir)
	if err := c.ReadSecrets(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); err == nil || !c.AdminToken.IsZero() {
		t.Error("made a data directory or a secret")
	}
}

func TestWriteKeysWritesWhatADeploymentNeeds(t *testing.T) {
	t.Parallel()
	var first, second strings.Builder
	for _, out := range []*strings.Builder{&first, &second} {
		if err := WriteKeys(out); err != nil {
			t.Fatal(err)
		}
		load(t, deployed(strings.Split(out.String(), "\n")...)...)
	}
	if first.String() == second.String() {
		t.Error("the same keys twice")
	}
}
