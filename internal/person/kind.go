package person

import (
	_ "embed"
	"strings"
	"sync"

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

// roleQualifiers may follow a role's name behind a separator: support-emea@.
var roleQualifiers = wordSet(`team desk dept department group global worldwide international europe emea apac latam
	dach amer anz mena eu us usa uk de at ch fr es it nl be lu pt pl se no dk fi ie cz hu ro gr tr ca mx br ar cl co
	au nz jp kr cn hk sg in ae za il en`)

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
	kinds := providers()
	for more := true; more; _, domain, more = strings.Cut(domain, ".") {
		if kind, ok := kinds[domain]; ok {
			return kind, true
		}
	}
	return "", false
}

// isRole reports whether a lower-case local part names a function: with or
// without +tag, separators (no.reply), a number behind (info2) or a
// qualifier (sales-emea).
func isRole(local string) bool {
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
