// Package profile keeps the services that a person calls from the command line, by name: each
// with its URL and a key.
package profile

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"

	"go.yaml.in/yaml/v3"

	"usersync/internal/usersync"
)

// Profile is a service and the key to call it with.
type Profile struct {
	Name string
	URL  string
	// Key is an organization's API key, or the operator's token.
	Key usersync.Secret
}

// ErrUnknown says that there is no profile of a name.
var ErrUnknown = errors.New("no such profile")

// File is the profiles of a person. The zero File is that of somebody who has none.
type File struct {
	path    string
	content content
}

// content is a file as it is written. It alone has keys in clear.
type content struct {
	Current  string           `yaml:"current,omitempty"`
	Profiles map[string]entry `yaml:"profiles"`
}

type entry struct {
	URL string `yaml:"url"`
	Key string `yaml:"key"`
}

// Open reads the profiles of whoever runs the program. Without a file there are none.
func Open() (*File, error) {
	dir, err := os.UserConfigDir()
	if err != nil {
		return nil, fmt.Errorf("find the folder of settings: %w", err)
	}
	f := &File{path: filepath.Join(dir, "usersync", "profiles.yaml")}
	text, err := os.ReadFile(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return f, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the profiles: %w", err)
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(&f.content); err != nil {
		// The text of the error may quote the file, and that has keys.
		return nil, fmt.Errorf("%s is no file of profiles; expected YAML with current and profiles", f.path)
	}
	return f, nil
}

// Path is where the file is, or will be.
func (f *File) Path() string { return f.path }

// Current is the name of the profile in use; "" for none.
func (f *File) Current() string { return f.content.Current }

// Names returns the names of all profiles, in order.
func (f *File) Names() []string {
	var names []string
	for name := range f.content.Profiles {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Get returns the profile of a name; ErrUnknown without one.
func (f *File) Get(name string) (Profile, error) {
	e, ok := f.content.Profiles[name]
	if !ok {
		return Profile{}, fmt.Errorf("%w: %q", ErrUnknown, name)
	}
	return Profile{name, e.URL, usersync.NewSecret(e.Key)}, nil
}

// valid is what a profile may be called.
var valid = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// ValidName reports whether a profile may be called so.
func ValidName(name string) bool { return valid.MatchString(name) }

// Put adds a profile, or replaces that of its name, and writes the file. The first one is in
// use from then on.
func (f *File) Put(p Profile) error {
	if f.content.Profiles == nil {
		f.content.Profiles = map[string]entry{}
	}
	f.content.Profiles[p.Name] = entry{p.URL, p.Key.Reveal()}
	if f.content.Current == "" {
		f.content.Current = p.Name
	}
	return f.write()
}

// Use puts a profile in use and writes the file; ErrUnknown without one of the name.
func (f *File) Use(name string) error {
	if _, err := f.Get(name); err != nil {
		return err
	}
	f.content.Current = name
	return f.write()
}

// Remove removes a profile and writes the file; ErrUnknown without one of the name. When it
// was in use, none is.
func (f *File) Remove(name string) error {
	if _, err := f.Get(name); err != nil {
		return err
	}
	delete(f.content.Profiles, name)
	if f.content.Current == name {
		f.content.Current = ""
	}
	return f.write()
}

// write puts the file in the place of the former one at once. Nobody else may read it.
func (f *File) write() error {
	text, err := yaml.Marshal(f.content)
	if err != nil {
		return fmt.Errorf("encode the profiles: %w", err)
	}
	dir := filepath.Dir(f.path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make the folder of the profiles: %w", err)
	}
	// CreateTemp makes files of mode 0600.
	temporary, err := os.CreateTemp(dir, "profiles-*")
	if err != nil {
		return fmt.Errorf("write the profiles: %w", err)
	}
	defer func() { _ = os.Remove(temporary.Name()) }() // not there any more, unless something failed
	_, err = temporary.Write(text)
	if err := errors.Join(err, temporary.Close()); err != nil {
		return fmt.Errorf("write the profiles: %w", err)
	}
	if err := os.Rename(temporary.Name(), f.path); err != nil {
		return fmt.Errorf("write the profiles: %w", err)
	}
	return nil
}
