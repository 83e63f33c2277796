package config

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"usersync/internal/usersync"
)

// keysCommand is the command that makes the secrets of a deployment; it prints
// what WriteKeys writes.
const keysCommand = "usersync config keys"

// sealingKeySize is the length of a sealing key in bytes: AES-256.
const sealingKeySize = 32

// sealingKeyIDSize is the length of a sealing key's id in characters: 40 bits,
// enough to tell a handful of keys apart.
const sealingKeyIDSize = 8

// kept describes a secret that the embedded way makes by itself and keeps.
type kept struct {
	name, file string
	value      *usersync.Secret
	make       func() usersync.Secret
	right      func(string) bool
}

func (c *Config) kept() []kept {
	return []kept{
		{"ADMIN_TOKEN", "admin-token", &c.AdminToken, NewAdminToken, isToken},
		{"SEALING_KEYS", "sealing-keys", &c.SealingKeys, NewSealingKeys, areSealingKeys},
	}
}

// EnsureSecrets gives an embedded service the secrets that are unset: it reads
// them from DATA_DIR and makes those that are not there yet. The directory is
// made with mode 0700 and the files with 0600. Of two processes that start at
// once, both end with the same secrets. When deployed it does nothing.
func (c *Config) EnsureSecrets() error { return c.eachUnset((*Config).readOrMake) }

// ReadSecrets fills unset secrets of an embedded service from the files that
// EnsureSecrets made and changes nothing on disk; those without a file stay
// unset.
func (c *Config) ReadSecrets() error {
	return c.eachUnset(func(c *Config, k kept) error {
		err := c.readKept(k)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	})
}

// NewAdminToken returns a new token of at least 128 random bits.
func NewAdminToken() usersync.Secret {
	return usersync.NewSecret("usa_" + strings.ToLower(rand.Text()))
}

// NewSealingKeys returns a list of one new key: its id, a colon, and 32 random
// bytes in base64.
func NewSealingKeys() usersync.Secret {
	key := make([]byte, sealingKeySize)
	_, _ = rand.Read(key) // crypto/rand.Read never fails
	id := strings.ToLower(rand.Text()[:sealingKeyIDSize])
	return usersync.NewSecret(id + ":" + base64.StdEncoding.EncodeToString(key))
}

// WriteKeys writes new secrets for a deployment, as lines for an environment file.
func WriteKeys(w io.Writer) error {
	_, err := fmt.Fprintf(w, "ADMIN_TOKEN=%s\nSEALING_KEYS=%s\n", NewAdminToken().Reveal(), NewSealingKeys().Reveal())
	return err
}

// eachUnset calls do for every secret without a value and joins the faults,
// each with the name of the setting before it.
func (c *Config) eachUnset(do func(*Config, kept) error) error {
	if !c.Embedded() {
		return nil
	}
	var faults []error
	for _, k := range c.kept() {
		if !k.value.IsZero() {
			continue
		}
		if err := do(c, k); err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", k.name, err))
		}
	}
	return errors.Join(faults...)
}

func (c *Config) readOrMake(k kept) error {
	err := c.readKept(k)
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.MkdirAll(c.DataDir, 0o700); err != nil {
		return fmt.Errorf("make the data directory: %w", err)
	}
	err = writeNew(c.keptPath(k), k.make().Reveal()+"\n")
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return c.readKept(k) // another process may have been first
}

// readKept takes the secret from its file; the error wraps fs.ErrNotExist when
// there is none.
func (c *Config) readKept(k kept) error {
	path := c.keptPath(k)
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read a kept secret: %w", err)
	}
	value := strings.TrimSpace(string(text))
	if !k.right(value) {
		return fmt.Errorf("%s is damaged; restore it from a backup", path)
	}
	if err := closeToOthers(path); err != nil {
		return err
	}
	*k.value = usersync.NewSecret(value)
	c.note(k.name, path)
	return nil
}

func (c *Config) keptPath(k kept) string { return filepath.Join(c.DataDir, k.file) }

// closeToOthers takes away what a copy or a restored backup may have opened.
func closeToOthers(path string) error {
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm()&0o077 == 0 {
		return err
	}
	return os.Chmod(path, 0o600)
}

// writeNew makes the file path with mode 0600 and all of text, or, when the
// file exists or anything fails, changes nothing: the text is on disk before a
// hard link gives it its name, and a link never replaces a file.
func writeNew(path, text string) error {
	draft, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(draft.Name()) }()
	_, err = draft.WriteString(text)
	if err = errors.Join(err, draft.Sync(), draft.Close()); err != nil {
		return err
	}
	if err := os.Link(draft.Name(), path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// syncDir puts the names in dir on disk: a sealing key that is lost with the
// power takes all that it sealed with it.
func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("open the data directory: %w", err)
	}
	return errors.Join(dir.Sync(), dir.Close())
}
