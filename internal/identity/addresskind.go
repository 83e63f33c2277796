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
	// Membership is an address that an association, a project or a club gives its
	// members, and that forwards to their own: people there do not work together.
	Membership AddressKind = "membership"
	// Disposable is an address at a provider of throw-away addresses.
	Disposable AddressKind = "disposable"
	// Role is an address of a function (info@, support@), not of a person.
	Role AddressKind = "role"
)

//go:embed lists/personal.txt
var personalList string

//go:embed lists/mass.txt
var massList string

//go:embed lists/membership.txt
var membershipList string

//go:embed lists/disposable.txt
var disposableList string

//go:embed lists/role.txt
var roleList string

var providers = sync.OnceValue(func() map[string]AddressKind {
	kinds := make(map[string]AddressKind, 16_000)
	for _, list := range []struct {
		domains string
		kind    AddressKind
	}{{disposableList, Disposable}, {membershipList, Membership}, {personalList, Personal}} {
		for domain := range strings.Lines(list.domains) {
			kinds[strings.TrimSpace(domain)] = list.kind
		}
	}
	return kinds
})

var massProviders = sync.OnceValue(func() map[string]bool { return wordSet(massList) })

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
var roleQualifiers = wordSet(`hq team desk dept department group global worldwide international europe emea apac latam
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
	if kind := KindOfDomain(e.Domain()); kind != Work {
		return kind
	}
	if IsRoleName(e.Local()) {
		return Role
	}
	return Work
}

// KindOfDomain returns what kind the addresses at a domain are. Role is that of a
// host of mailing lists; Work is that of all domains of which nothing is known.
func KindOfDomain(domain string) AddressKind {
	kind, ok := kindOfDomain(domain)
	if !ok {
		return Work
	}
	return kind
}

// CompanyOf returns the company that an address may tell, "" when it tells none:
// the registrable domain of all but role and disposable addresses and of those at
// the large providers of the world. It is what is stored of people. An address at
// a small provider has one, so that an organization can say later that its domain
// is a company's.
func CompanyOf(e usersync.Email) string {
	kind := KindOfDomain(e.Domain())
	if kind == Disposable || kind == Role || kind == Personal && IsLargeProvider(e.Domain()) || IsRoleName(e.Local()) {
		return ""
	}
	return Company(e.Domain())
}

// IsLargeProvider reports whether a domain, or one it is below, is that of a large
// mail provider: nobody's company, whoever says so.
func IsLargeProvider(domain string) bool {
	for more := true; more; _, domain, more = strings.Cut(domain, ".") {
		if massProviders()[domain] {
			return true
		}
	}
	return false
}

func kindOfDomain(domain string) (AddressKind, bool) {
	if isMistyped(domain) || isAlumniName(domain) {
		return Personal, true
	}
	kinds := providers()
	below := "" // the label before rest
	for rest, more := domain, true; more; below, rest, more = strings.Cut(rest, ".") {
		if kind, ok := kinds[rest]; ok {
			return kind, below == "" || kind != Personal || !staffLabels[below]
		}
	}
	return kindOfLabels(domain)
}

// staffLabels begin the subdomains that providers keep for their own people.
var staffLabels = wordSet(`corp corporate firma staff hq employee employees intern internal`)

// These labels tell what a domain is for, when they stand before the registrable
// domain: hosts of mailing lists, hosts of addresses under which a site hides its
// users, and what schools, and companies, give to those who left.
const (
	listLabels   = `lists list listserv listserver mailman majordomo sympa lyris ezmlm groups mailinglists mailinglist`
	hiddenLabels = `noreply no-reply donotreply privaterelay`
	alumniLabels = `alumni alum alumnus alumna alumnae alumnos alumnx alums`
)

var labelKinds = func() map[string]AddressKind {
	kinds := map[string]AddressKind{}
	for label := range strings.FieldsSeq(listLabels) {
		kinds[label] = Role
	}
	for label := range strings.FieldsSeq(hiddenLabels + " " + alumniLabels) {
		kinds[label] = Personal
	}
	return kinds
}()

// kindOfLabels returns the kind that one label of a domain tells: that of a list, a
// relay or a school's alumni, or the name of a provider who is in many countries.
func kindOfLabels(domain string) (AddressKind, bool) {
	for label, rest, more := strings.Cut(domain, "."); more; label, rest, more = strings.Cut(rest, ".") {
		if nationalProviders[label] && isPublicSuffix(rest) {
			return Personal, true
		}
		if networkSuffixes[rest] || isMailWords(label) && isPublicSuffix(rest) {
			return Personal, true
		}
		if kind, ok := labelKinds[label]; ok && Company(rest) != "" {
			return kind, true
		}
	}
	return "", false
}

// networkSuffixes are public suffixes below which their registries let access
// providers alone have a name.
var networkSuffixes = wordSet(`ne.jp net.il net.id`)

// mailWords are what providers of mail are called, two or more of them in one word.
var mailWords = []string{"email", "mail", "inbox", "box", "web", "free", "post"}

// isMailWords reports whether a label is made of two or more of mailWords, mail or
// inbox among them: freemail, mailinbox, webmailbox.
func isMailWords(label string) bool {
	if !strings.Contains(label, "mail") && !strings.Contains(label, "inbox") {
		return false
	}
	words := 0
	for rest := strings.ReplaceAll(label, "-", ""); rest != ""; words++ {
		begun := rest
		for _, word := range mailWords {
			if after, ok := strings.CutPrefix(rest, word); ok {
				rest = after
				break
			}
		}
		if rest == begun {
			return false
		}
	}
	return words > 1
}

// isAlumniName reports whether a registrable domain ends as those of alumni do:
// stanfordalumni.org. A company may be called Alumni itself.
func isAlumniName(domain string) bool {
	if !strings.Contains(domain, "alum") {
		return false
	}
	name, _, _ := strings.Cut(Company(domain), ".")
	for label := range strings.FieldsSeq(alumniLabels) {
		if before, ok := strings.CutSuffix(name, label); ok && len(before) > 1 {
			return true
		}
	}
	return false
}

// IsRoleName reports whether a lower-case local part names a function: with or
// without +tag, separators (no.reply), a number behind (info2), accents
// (büro) or a qualifier (sales-emea).
func IsRoleName(local string) bool {
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
	name, digits := squeeze(buffer[:0], base)
	if isStaffNumber(len(name), digits) {
		return false
	}
	if roles()[string(name)] || hasMachinePrefix(name) || isTeam(base) {
		return true
	}
	return isQualified(base, strings.IndexAny(base, ".-_")) || isQualified(base, strings.LastIndexAny(base, "-_"))
}

// isQualified reports whether a local part is a role's name before the separator at
// cut, and a qualifier behind it: sales.uk, customer-care-uk.
func isQualified(base string, cut int) bool {
	if cut <= 0 || !roleQualifiers[base[cut+1:]] {
		return false
	}
	var buffer [maxLocal]byte
	name, digits := squeeze(buffer[:0], base[:cut])
	return digits == "" && roles()[string(name)]
}

// isStaffNumber reports whether a name with digits behind it is a number that a
// large company gives its people (ap1234, gdpr0001), and no role's (info2024).
func isStaffNumber(letters int, digits string) bool {
	return letters <= 3 && len(digits) >= 3 || letters <= 5 && len(digits) >= 4 && digits[0] == '0'
}

// teamTails end the names of teams, lists and machines, behind a hyphen or an
// underscore. Behind a full stop they are surnames (peter.bot).
var teamTails = wordSet(`bot robot root admin administrator team eng engineering dev devel list lists announce announcements ops oncall
	alert alerts noreply reply commit commits cvs svn bugs reports report board staff hands support help helpdesk service services desk office group
	relations procurement portal management research response security notifications queue tier l1 l2 l3 tier1 tier2 tier3 infra roller
	acquisition rua ruf`)

// teamHeads begin them.
var teamHeads = wordSet(`team squad tribe guild chapter oncall alerts alert all everyone infra build deploy cron robot bot svc srv
	service system pagerduty nagios grafana monitoring`)

func isTeam(base string) bool {
	first, last := strings.IndexAny(base, "-_"), strings.LastIndexAny(base, "-_")
	return first > 0 && (teamHeads[base[:first]] || teamTails[base[last+1:]])
}

func hasMachinePrefix(name []byte) bool {
	for _, prefix := range machinePrefixes {
		if strings.HasPrefix(string(name), prefix) {
			return true
		}
	}
	return false
}

// squeeze appends s without separators and without the digits at its end, which
// it returns too.
func squeeze(dst []byte, s string) (name []byte, digits string) {
	end := len(s)
	for end > 0 && '0' <= s[end-1] && s[end-1] <= '9' {
		end--
	}
	for i := range end {
		if strings.IndexByte(".-_", s[i]) < 0 {
			dst = append(dst, s[i])
		}
	}
	return dst, s[end:]
}
