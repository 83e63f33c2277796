package internal_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// requirement is a module that go.mod names.
type requirement struct {
	Path, Version string
	Indirect      bool
}

// interval is a range of versions that a module's author took back.
type interval struct{ Low, High string }

// moduleFile is what `go mod edit -json` tells of a go.mod.
type moduleFile struct {
	Require          []requirement
	Replace, Exclude []any
	Retract          []interval
}

// command runs the Go command as it is set up here, and lets it change no go.mod. On a
// fresh module cache it fetches the modules that these tests look into: they belong to
// all packages, and `go test ./internal/` by itself needs none of them.
func command(t *testing.T, args ...string) []byte {
	t.Helper()
	c := exec.CommandContext(t.Context(), "go", args...) //nolint:gosec // the arguments are ours
	c.Dir = ".."
	c.Env = append(os.Environ(), "GOFLAGS="+strings.TrimSpace(os.Getenv("GOFLAGS")+" -mod=readonly"))
	var failure bytes.Buffer
	c.Stderr = &failure
	out, err := c.Output()
	if err != nil {
		t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, failure.String())
	}
	return out
}

func moduleFileOf(t *testing.T, path string) (f moduleFile) {
	t.Helper()
	if err := json.Unmarshal(command(t, "mod", "edit", "-json", path), &f); err != nil {
		t.Fatal(err)
	}
	return f
}

// directories returns where the modules that are linked on this system lie.
func directories(t *testing.T) map[string]string {
	t.Helper()
	dirs := map[string]string{}
	out := command(t, "list", "-deps", "-test", "-f", "{{with .Module}}{{.Path}} {{.Dir}}{{end}}", "./...")
	for line := range strings.Lines(string(out)) {
		if path, dir, ok := strings.Cut(strings.TrimSpace(line), " "); ok {
			dirs[path] = dir
		}
	}
	delete(dirs, "usersync")
	return dirs
}

// allowed are the licences that a library may have.
var allowed = []string{"MIT", "BSD-2-Clause", "BSD-3-Clause", "Apache-2.0", "ISC", "MPL-2.0"}

var licenceFile = regexp.MustCompile(`(?i)^(licen[sc]e|copying|unlicense)(\.\w+)?$`)

// licencesOf returns the licences in a module's directory.
func licencesOf(dir string) (found []string, err error) {
	files, err := os.ReadDir(dir)
	for _, f := range files {
		if f.IsDir() || !licenceFile.MatchString(f.Name()) {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, f.Name())) //nolint:gosec // of the module cache
		if err != nil {
			return nil, err
		}
		found = append(found, classify(string(text)))
	}
	return found, err
}

// phrases tell a licence by its own words, the most telling first.
var phrases = []struct{ phrase, licence string }{
	{"gnu affero general public license", "AGPL"},
	{"gnu lesser general public license", "LGPL"},
	{"gnu general public license", "GPL"},
	{"server side public license", "SSPL"},
	{"business source license", "BUSL"},
	{"commons clause", "Commons Clause"},
	{"mozilla public license", "MPL-2.0"},
	{"apache license version 2.0", "Apache-2.0"},
	{"permission to use, copy, modify, and/or distribute this software for any purpose", "ISC"},
	{"permission to use, copy, modify, and distribute this software for any purpose", "ISC"},
	{"permission is hereby granted, free of charge, to any person obtaining a copy", "MIT"},
	{"neither the name", "BSD-3-Clause"},
	{"names of its contributors may", "BSD-3-Clause"},
	{"redistribution and use in source and binary forms", "BSD-2-Clause"},
}

// mozilla finds the title of the Mozilla licence at the beginning of a text, at most
// one line on copyright before it.
var mozilla = regexp.MustCompile(`(?i)^\s*(copyright \(c\)[^\n]*\s+)?mozilla\s+public\s+license`)

func classify(text string) string {
	words := strings.ReplaceAll(strings.Join(strings.Fields(strings.ToLower(text)), " "), "apache license, version", "apache license version")
	// The Mozilla licence names the GNU licences that it goes together with.
	if mozilla.MatchString(text) {
		return "MPL-2.0"
	}
	for _, p := range phrases {
		if strings.Contains(words, p.phrase) {
			return p.licence
		}
	}
	return "unknown"
}

func TestEveryLibraryHasALicenceThatSuits(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/dependencies.md")
	if err != nil {
		t.Fatal(err)
	}
	f := moduleFileOf(t, "go.mod")
	dirs := directories(t)
	for _, r := range f.Require {
		line := lineOf(string(page), r.Path)
		if !r.Indirect && line == "" {
			t.Errorf("docs/dependencies.md has no line for %s", r.Path)
		}
		dir := dirs[r.Path]
		delete(dirs, r.Path)
		if dir == "" {
			if !r.Indirect {
				t.Errorf("%s is required and not linked", r.Path)
			}
			continue // needed on other systems only
		}
		found, err := licencesOf(dir)
		if err != nil || len(found) == 0 {
			t.Errorf("%s has no licence: %v", r.Path, err)
		}
		for _, licence := range found {
			if !slices.Contains(allowed, licence) {
				t.Errorf("%s has the licence %s", r.Path, licence)
			}
		}
		if line != "" && !slices.ContainsFunc(found, func(l string) bool { return strings.Contains(line, "| "+l+" |") }) {
			t.Errorf("%s has the licence %v, its line says: %s", r.Path, found, line)
		}
	}
	for path := range dirs {
		t.Errorf("%s is linked and not required", path)
	}
}

// lineOf returns the line of a module in the table, "" when there is none.
func lineOf(page, module string) string {
	for line := range strings.Lines(page) {
		if strings.HasPrefix(line, "| `"+module+"` |") {
			return strings.TrimSpace(line)
		}
	}
	return ""
}

func TestClassifyTellsLicencesApart(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"The MIT License\n\nPermission is hereby granted,\nfree of charge, to any person obtaining a copy":                "MIT",
		"Apache License\n  Version 2.0, January 2004":                                                                     "Apache-2.0",
		"Redistribution and use in source and binary forms, with or without":                                              "BSD-2-Clause",
		"Redistribution and use in source and binary forms … Neither the name of":                                         "BSD-3-Clause",
		"Mozilla Public License Version 2.0 … the GNU General Public License":                                             "MPL-2.0",
		"Copyright (c) 2014 Example, Inc.\n\nMozilla Public License, version 2.0 … the GNU Affero General Public License": "MPL-2.0",
		"Copyright (c) 2014 Example, Inc.\n\nGNU Affero General Public License … the Mozilla Public License":              "AGPL",
		"GNU GENERAL PUBLIC LICENSE\nVersion 3":                                                                           "GPL",
		"GNU Lesser General Public License":                                                                               "LGPL",
		"All rights reserved.":                                                                                            "unknown",
	} {
		if got := classify(text); got != want {
			t.Errorf("%.40q is %s, want %s", text, got, want)
		}
	}
}

func TestLibrariesAreAsTheirAuthorsPublishedThem(t *testing.T) {
	t.Parallel()
	f := moduleFileOf(t, "go.mod")
	if len(f.Replace) > 0 || len(f.Exclude) > 0 {
		t.Errorf("go.mod replaces %v and excludes %v", f.Replace, f.Exclude)
	}
	sums, err := os.ReadFile("../go.sum")
	if err != nil {
		t.Fatal(err)
	}
	dirs := directories(t)
	downloads := filepath.Join(strings.TrimSpace(string(command(t, "env", "GOMODCACHE"))), "cache", "download")
	for _, r := range f.Require {
		if dir := dirs[r.Path]; dir != "" {
			if line := r.Path + " " + r.Version + " " + hash(t, dir, r.Path+"@"+r.Version); !strings.Contains(string(sums), line+"\n") {
				t.Errorf("go.sum does not have %s", line)
			}
		}
		// What the author takes back stands in the newest version's go.mod; those
		// that are here are looked at.
		files, err := filepath.Glob(filepath.Join(downloads, filepath.FromSlash(escape(r.Path)), "@v", "*.mod"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if text, err := os.ReadFile(file); err != nil || !bytes.Contains(text, []byte("retract")) { //nolint:gosec // of the module cache
				continue
			}
			for _, i := range moduleFileOf(t, file).Retract {
				if !older(r.Version, i.Low) && !older(i.High, r.Version) {
					t.Errorf("%s %s was taken back by its author", r.Path, r.Version)
				}
			}
		}
	}
}

// hash returns the sum of a module's files as go.sum has it (Go Modules Reference,
// "go.sum files"): the SHA-256 of the list of their SHA-256. The Go command checks
// it when it fetches a module, and this test what is built with, like go mod
// verify, but without the go.mod of every module that others could need.
func hash(t *testing.T, dir, prefix string) string {
	t.Helper()
	var lines []string
	err := filepath.WalkDir(dir, func(file string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(file) //nolint:gosec // of the module cache
		name, _ := filepath.Rel(dir, file)
		lines = append(lines, fmt.Sprintf("%s/%s\n%x", prefix, filepath.ToSlash(name), sha256.Sum256(text)))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(lines)
	sum := sha256.New()
	for _, line := range lines {
		name, hash, _ := strings.Cut(line, "\n")
		_, _ = fmt.Fprintf(sum, "%s  %s\n", hash, name)
	}
	return "h1:" + base64.StdEncoding.EncodeToString(sum.Sum(nil))
}

// escape writes a module's path as the module cache does.
func escape(path string) string {
	return regexp.MustCompile(`[A-Z]`).ReplaceAllStringFunc(path, func(c string) string { return "!" + strings.ToLower(c) })
}

var version = regexp.MustCompile(`^v(\d+)\.(\d+)\.(\d+)(-.*)?$`)

// older compares two versions; a pre-release is older than its release.
func older(a, b string) bool {
	x, y := version.FindStringSubmatch(a), version.FindStringSubmatch(b)
	if x == nil || y == nil {
		return false
	}
	for i := 1; i <= 3; i++ {
		m, _ := strconv.Atoi(x[i])
		n, _ := strconv.Atoi(y[i])
		if m != n {
			return m < n
		}
	}
	return x[4] != y[4] && (y[4] == "" || x[4] != "" && x[4] < y[4])
}

func TestOlderComparesVersions(t *testing.T) {
	t.Parallel()
	order := []string{"v0.0.0-20240606120523-5a60cdf6a761", "v0.0.1", "v0.9.0", "v0.10.0", "v1.0.0-rc1", "v1.0.0", "v10.0.0"}
	for i, a := range order {
		for j, b := range order {
			if older(a, b) != (i < j) {
				t.Errorf("%s older than %s: %v", a, b, older(a, b))
			}
		}
	}
}
