package identity

import (
	_ "embed"
	"strings"
	"sync"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"usersync/internal/usersync"
)

// AddressKind says what kind of address a person is reached under.
type AddressKind string

// The kinds of address. Only Work addresses tell a company and its people.
const (
	// Work is an address of one person at a company: all that is none of the others.
	Work AddressKind = "work"
	// Personal is an address at a mail provider, an internet access provider or
	// a forwarding service: its domain tells no company.
	Personal AddressKind = "personal"
	// Disposable is an address at a provider of throw-away addresses.
	Disposable AddressKind = "disposable"
	// Role is an address of a function (info@, support@), not of a person.
	Role AddressKind = "role"
)

//go:embed lists/personal.txt
var personalList string

//go:embed lists/disposable.txt
var disposableList string

//go:embed lists/role.txt
var roleList string

var providers = sync.OnceValue(func() map[string]AddressKind {
	kinds := make(map[string]AddressKind, 12_000)
	for domain := range strings.Lines(disposableList) {
		kinds[strings.TrimSpace(domain)] = Disposable
	}
	for domain := range strings.Lines(personalList) {
		kinds[strings.TrimSpace(domain)] = Personal
	}
	return kinds
})

var roles = sync.OnceValue(func() map[string]bool {
	names := make(map[string]bool, 500)
	for name := range strings.Lines(roleList) {
		names[strings.TrimSpace(name)] = true
	}
	return names
})

// machinePrefixes begin the local parts machines write under, whatever follows.
var machinePrefixes = []string{"noreply", "donotreply", "mailerdaemon", "bounce"}

// roleQualifiers may follow a role's name behind a separator: support-emea@,
// office.berlin@.
var roleQualifiers = wordSet(`team desk dept department group global worldwide international europe emea apac latam
	dach amer anz mena eu us usa uk de at ch fr es it nl be lu pt pl se no dk fi ie cz hu ro gr tr ca mx br ar cl co
	au nz jp kr cn hk sg in ae za il en
	north south east west nord sued sud ost est norte sur oeste noord zuid oost
	berlin hamburg muenchen munich koeln frankfurt stuttgart wien vienna zuerich zurich genf geneve geneva basel bern
	paris lyon marseille bruxelles brussels brussel amsterdam rotterdam utrecht antwerpen london manchester birmingham dublin
	madrid barcelona valencia sevilla lisboa lisbon porto milano milan roma rome torino napoli stockholm oslo kopenhagen
	copenhagen helsinki warszawa warsaw praha prague budapest athens istanbul dubai mumbai delhi bangalore singapore
	tokyo osaka seoul shanghai beijing sydney melbourne auckland toronto montreal vancouver nyc newyork boston chicago
	houston dallas atlanta miami seattle sanfrancisco losangeles mexico bogota lima santiago buenosaires saopaulo rio`)

func wordSet(words string) map[string]bool {
	set := make(map[string]bool)
	for word := range strings.FieldsSeq(words) {
		set[word] = true
	}
	return set
}

// KindOf returns what kind of address e is. The domain decides first, and a
// subdomain is of its domain's kind: info@gmail.com is Personal.
func KindOf(e usersync.Email) AddressKind {
	if kind, ok := kindOfDomain(e.Domain()); ok {
		return kind
	}
	if isRole(e.Local()) {
		return Role
	}
	return Work
}

func kindOfDomain(domain string) (AddressKind, bool) {
	if isAlumni(domain) {
		return Personal, true
	}
	kinds := providers()
	for more := true; more; _, domain, more = strings.Cut(domain, ".") {
		if kind, ok := kinds[domain]; ok {
			return kind, true
		}
	}
	return "", false
}

// alumniLabels begin the domains that schools, and companies, give to those who
// left: they forward to private mailboxes.
var alumniLabels = wordSet(`alumni alum alumnus alumna alumnae alumnos alumnx`)

// isAlumni reports whether a domain is a school's or a company's for those who
// left. A company may be called so itself.
func isAlumni(domain string) bool {
	if !strings.Contains(domain, "alum") {
		return false
	}
	company := Company(domain)
	for domain != company {
		label, rest, more := strings.Cut(domain, ".")
		if !more {
			return false
		}
		if alumniLabels[label] {
			return true
		}
		domain = rest
	}
	return false
}

// isRole reports whether a lower-case local part names a function: with or
// without +tag, separators (no.reply), a number behind (info2), accents
// (büro) or a qualifier (sales-emea).
func isRole(local string) bool {
	if isASCII(local) {
		return isPlainRole(local)
	}
	return isPlainRole(unaccented(local)) || isPlainRole(unaccented(writtenOut.Replace(local)))
}

// unaccented drops accents from letters, and nothing else.
func unaccented(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Mn, r) {
			return -1
		}
		return r
	}, norm.NFD.String(s))
}

func isPlainRole(local string) bool {
	base, _, _ := strings.Cut(local, "+")
	var buffer [maxLocal]byte
	name := squeeze(buffer[:0], base)
	if roles()[string(name)] || hasMachinePrefix(name) {
		return true
	}
	cut := strings.IndexAny(base, ".-_")
	return cut > 0 && roleQualifiers[base[cut+1:]] && roles()[base[:cut]]
}

func hasMachinePrefix(name []byte) bool {
	for _, prefix := range machinePrefixes {
		if strings.HasPrefix(string(name), prefix) {
			return true
		}
	}
	return false
}

// squeeze appends s without separators and without the digits at its end.
func squeeze(dst []byte, s string) []byte {
	for i := 0; i < len(s); i++ {
		if strings.IndexByte(".-_", s[i]) < 0 {
			dst = append(dst, s[i])
		}
	}
	for len(dst) > 0 && '0' <= dst[len(dst)-1] && dst[len(dst)-1] <= '9' {
		dst = dst[:len(dst)-1]
	}
	return dst
}
