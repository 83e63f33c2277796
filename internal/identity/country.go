package identity

import (
	"bytes"
	"strings"
	"sync"

	"github.com/biter777/countries"
	"golang.org/x/text/language"
	"golang.org/x/text/language/display"
)

// maxCountry is the longest text in bytes that is looked up as a country; the
// longest name known is shorter.
const maxCountry = 160

// ParseCountry returns the ISO 3166-1 alpha-2 code of the country s names: by
// alpha-2 or alpha-3 code, by a usual English name, or by its name in one of
// the larger languages. Case, accents and punctuation do not matter. XK stands
// for Kosovo. A name that is misspelt, or that two countries share (Korea,
// Virgin Islands), is unknown.
func ParseCountry(s string) (alpha2 string, ok bool) {
	s = strings.TrimSpace(s)
	if len(s) < 2 || len(s) > maxCountry {
		return "", false
	}
	known := countryTable()
	if alpha2, ok = known.byCode(s); ok {
		return alpha2, true
	}
	var buffer [maxCountry]byte
	name := withoutArticle(appendFolded(buffer[:0], s))
	if alpha2 = known.names[string(name)]; alpha2 == "" {
		alpha2 = saidTwice(s)
	}
	return alpha2, alpha2 != ""
}

// saidTwice returns the country that a text names before a bracket and in it:
// "Deutschland (Germany)", "Germany (DE)". One name alone says too little: what
// stands behind Guinea makes another country of it.
func saidTwice(s string) string {
	before, inside, ok := strings.Cut(strings.TrimSuffix(s, ")"), "(")
	if !ok || strings.Contains(inside, "(") {
		return ""
	}
	outer, _ := ParseCountry(before)
	if inner, _ := ParseCountry(inside); inner != outer {
		return ""
	}
	return outer
}

// countryNames holds all that is known of countries. Codes are apart from
// names, for they are read without folding: "n/a" and "N.A." are not Namibia.
type countryNames struct {
	codes map[string]string // upper-case alpha-2 and alpha-3
	names map[string]string // folded; "" for a name that two countries share
}

func (c countryNames) byCode(s string) (string, bool) {
	if len(s) > 3 {
		return "", false
	}
	var code [3]byte
	for i := range len(s) {
		code[i] = s[i]
		if 'a' <= s[i] && s[i] <= 'z' {
			code[i] -= 'a' - 'A'
		}
	}
	alpha2, ok := c.codes[string(code[:len(s)])]
	return alpha2, ok
}

// formerCountries are in the code list but are no countries any more.
var formerCountries = map[string]bool{"AN": true, "YU": true}

// countryLanguages are the languages countries may be named in beside English.
var countryLanguages = strings.Fields(`ar bg ca cs da de el es et fa fi fr he hi hr hu id it ja ko lt lv ms nb nl nn
	pl pt pt-PT ro ru sk sl sq sr sv th tr uk zh zh-Hant`)

var countryTable = sync.OnceValue(func() countryNames {
	table := countryNames{codes: make(map[string]string, 512), names: make(map[string]string, 8192)}
	table.codes["UK"] = "GB" // exceptionally reserved by ISO 3166 for this
	table.codes["EL"] = "GR" // the European Union's own code
	codes := make([]string, 0, 256)
	english := make(nameIndex)
	for _, country := range countries.All() {
		alpha2 := country.Alpha2()
		if formerCountries[alpha2] {
			continue
		}
		codes = append(codes, alpha2)
		table.codes[alpha2], table.codes[country.Alpha3()] = alpha2, alpha2
		english.add(country.String(), alpha2)
	}
	english.addDisplayed(language.English, codes)
	foreign := make(nameIndex)
	for _, tag := range countryLanguages {
		foreign.addDisplayed(language.MustParse(tag), codes)
	}
	for _, index := range []nameIndex{usualNames(), english, foreign} {
		index.fill(table.names)
	}
	return table
})

// nameIndex maps folded names to codes; "" marks a name that two share.
type nameIndex map[string]string

func (n nameIndex) add(name, alpha2 string) {
	folded := string(withoutArticle(appendFolded(nil, name)))
	// Short Latin names in other languages (Áo, Čad) look like codes.
	if len(folded) < 4 && isASCII(folded) {
		return
	}
	n.put(folded, alpha2)
	if rest, ok := strings.CutPrefix(folded, "st "); ok {
		n.put("saint "+rest, alpha2)
	}
	if rest, ok := strings.CutPrefix(folded, "saint "); ok {
		n.put("st "+rest, alpha2)
	}
}

func (n nameIndex) put(folded, alpha2 string) {
	if known, ok := n[folded]; ok && known != alpha2 {
		alpha2 = ""
	}
	n[folded] = alpha2
}

func (n nameIndex) addDisplayed(tag language.Tag, codes []string) {
	namer := display.Regions(tag)
	for _, alpha2 := range codes {
		if name := namer.Name(language.MustParseRegion(alpha2)); name != "" {
			n.add(name, alpha2)
		}
	}
}

// fill adds to names those that are not there: earlier indexes go first, and a
// name shared in one of them stays shared.
func (n nameIndex) fill(names map[string]string) {
	for folded, alpha2 := range n {
		if _, ok := names[folded]; !ok {
			names[folded] = alpha2
		}
	}
}

// sharedName stands in the hand-made names where a code would.
const sharedName = "??"

// usualNames reads the hand-made names; they are taken at any length.
func usualNames() nameIndex {
	index := make(nameIndex)
	for line := range strings.Lines(usualCountryNames) {
		alpha2, names, ok := strings.Cut(strings.TrimSpace(line), " ")
		if !ok {
			continue
		}
		if alpha2 == sharedName {
			alpha2 = ""
		}
		for name := range strings.SplitSeq(names, ";") {
			index.put(string(withoutArticle(appendFolded(nil, name))), alpha2)
		}
	}
	return index
}

var article = []byte("the ")

// withoutArticle drops "the" before and behind (Bahamas, The).
func withoutArticle(folded []byte) []byte {
	return bytes.TrimSuffix(bytes.TrimPrefix(folded, article), []byte(" the"))
}
