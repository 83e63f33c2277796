// Generate writes the lists the package embeds: domains of mail providers,
// domains of throw-away addresses, and the local parts of role addresses. It
// fetches the published lists named below with npm, adds and removes what the
// reviewed files say, and sorts. Run it with go generate in internal/identity.
package main

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/net/publicsuffix"
)

// A source is one JSON array of domains in a published npm package. Versions
// are fixed, so that a run changes nothing unless this table or a reviewed
// file changed. README.md names their licences.
type source struct{ pkg, file string }

var (
	personalSource   = source{"email-providers@2.26.0", "package/common.json"}
	disposableSource = source{"disposable-email-domains-js@1.26.0", "package/dist/dict/disposable_email_blocklist.json"}
)

const (
	reviewedDir = "generate/reviewed"
	listsDir    = "lists"
)

func main() {
	log.SetFlags(0)
	if err := run(); err != nil {
		log.Fatal("generate: ", err)
	}
}

func run() error {
	personal, err := merged(personalSource, "personal")
	if err != nil {
		return err
	}
	disposable, err := merged(disposableSource, "disposable")
	if err != nil {
		return err
	}
	allowed, err := reviewed("personal-allow")
	if err != nil {
		return err
	}
	settle(personal, disposable, allowed)
	roles, err := reviewed("role")
	if err != nil {
		return err
	}
	return errors.Join(write("personal", personal), write("disposable", disposable), write("role", squeezed(roles)))
}

type set map[string]bool

// merged returns a published list with the reviewed additions and without the
// reviewed removals. Public suffixes are left out: subdomains count as their
// domain, and a suffix would take in every company below it.
func merged(from source, name string) (set, error) {
	domains, err := fetch(from)
	if err != nil {
		return nil, err
	}
	allow, err := reviewed(name + "-allow")
	if err != nil {
		return nil, err
	}
	deny, err := reviewed(name + "-deny")
	if err != nil {
		return nil, err
	}
	maps.Copy(domains, allow)
	maps.DeleteFunc(domains, func(domain string, _ bool) bool { return deny[domain] || isSuffix(domain) })
	return domains, nil
}

func isSuffix(domain string) bool {
	suffix, _ := publicsuffix.PublicSuffix(domain)
	return suffix == domain
}

// settle decides domains on both lists: personal when reviewed as such, else
// disposable.
func settle(personal, disposable, allowed set) {
	for domain := range disposable {
		if allowed[domain] {
			delete(disposable, domain)
			continue
		}
		delete(personal, domain)
	}
}

func squeezed(names set) set {
	out := make(set)
	for name := range names {
		out[strings.NewReplacer(".", "", "-", "", "_", "").Replace(name)] = true
	}
	return out
}

// reviewed reads one of our own files: one name a line, # begins a comment, and
// "yahoo.{de,co.uk}" stands for one name per ending.
func reviewed(name string) (set, error) {
	file, err := os.Open(filepath.Join(reviewedDir, name+".txt"))
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }() // only read
	names := make(set)
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		line, _, _ := strings.Cut(lines.Text(), "#")
		for field := range strings.FieldsSeq(line) {
			expand(names, strings.ToLower(field))
		}
	}
	return names, lines.Err()
}

func expand(names set, field string) {
	head, tail, ok := strings.Cut(field, "{")
	if !ok {
		names[field] = true
		return
	}
	for ending := range strings.SplitSeq(strings.TrimSuffix(tail, "}"), ",") {
		names[head+ending] = true
	}
}

// fetch downloads a package into a directory that is gone afterwards and
// returns its list.
func fetch(from source) (set, error) {
	dir, err := os.MkdirTemp("", "person-lists-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }() // a leftover in the temporary directory harms nobody
	pack := exec.Command("npm", "pack", "--silent", from.pkg)
	pack.Dir = dir
	pack.Stderr = os.Stderr
	if err := pack.Run(); err != nil {
		return nil, fmt.Errorf("npm pack %s: %w", from.pkg, err)
	}
	archives, err := filepath.Glob(filepath.Join(dir, "*.tgz"))
	if err != nil || len(archives) != 1 {
		return nil, fmt.Errorf("npm pack %s left %d archives: %w", from.pkg, len(archives), err)
	}
	return readArchive(archives[0], from.file)
}

func readArchive(path, name string) (set, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }() // only read
	plain, err := gzip.NewReader(file)
	if err != nil {
		return nil, err
	}
	archive := tar.NewReader(plain)
	for {
		header, err := archive.Next()
		if err == io.EOF {
			return nil, fmt.Errorf("%s: no %s in it", path, name)
		}
		if err != nil {
			return nil, err
		}
		if header.Name == name {
			return readDomains(archive)
		}
	}
}

func readDomains(from io.Reader) (set, error) {
	var domains []string
	if err := json.NewDecoder(from).Decode(&domains); err != nil {
		return nil, err
	}
	names := make(set, len(domains))
	for _, domain := range domains {
		names[strings.ToLower(strings.TrimSpace(domain))] = true
	}
	return names, nil
}

func write(name string, names set) error {
	text := strings.Join(slices.Sorted(maps.Keys(names)), "\n") + "\n"
	return os.WriteFile(filepath.Join(listsDir, name+".txt"), []byte(text), 0o644)
}
