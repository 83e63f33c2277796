package identity

import (
	"bytes"
	"cmp"
	_ "embed"
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
	alpha2, named := known.names[string(name)]
	if !named {
		alpha2 = cmp.Or(saidTwice(s), known.byReducedName(string(name)))
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
	codes   map[string]string // upper-case alpha-2 and alpha-3
	names   map[string]string // folded; "" for a name that two countries share
	reduced nameIndex         // what is left of the names without the form of the state
}

// byReducedName looks up what is left of a folded name without the form of the state
// and without articles, wherever they stand.
func (c countryNames) byReducedName(folded string) string {
	name, ok := reduced(folded)
	if !ok {
		return ""
	}
	return c.reduced[name]
}

// stateForms are words that say what form a state has, in the languages of the United
// Nations that are written in words of Latin or Cyrillic letters, and how they are
// shortened.
//
//nolint:misspell // other languages
var stateForms = wordSet(`republic rep kingdom state states sts principality sultanate commonwealth union federation federated fed federal democratic
	dem people peoples peop s islamic arab socialist independent plurinational bolivarian rb hashemite co operative cooperative pdr ar sar special
	administrative region duchy grand
	republique royaume etat etats principaute federale federee democratique populaire islamique arabe socialiste independant plurinational bolivarienne
	unie duche
	republica reino estado estados principado sultanato federal federativa democratica popular islamica arabe socialista independiente bolivariana
	ducado
	республика королевство государство княжество султанат федеративная федеративнои народная демократическая исламская социалистическая
	плюринациональное боливарианская независимое`)

// articles go with them.
var articles = wordSet(`the la le les l el los las`)

// links stand between them and the name; alone they say nothing.
var links = wordSet(`of de du des d del`)

// reduced returns a folded name without the form of the state, articles and what
// links them. ok is false for a name that has none, or nothing else.
func reduced(folded string) (name string, ok bool) {
	var kept []string
	for word := range strings.FieldsSeq(folded) {
		switch {
		case stateForms[word] || articles[word]:
			ok = true
		case !links[word]:
			kept = append(kept, word)
		}
	}
	return strings.Join(kept, " "), ok && len(kept) > 0
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
	for _, index := range []nameIndex{namesIn(usualCountryNames), english, foreign, namesIn(officialCountryNames)} {
		index.fill(table.names)
	}
	table.reduced = reducedNames(table.names)
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

// reducedNames returns what is left of all names. What is left of those of two
// countries, such as Congo, is neither's.
func reducedNames(names map[string]string) nameIndex {
	index := make(nameIndex, len(names))
	for folded, alpha2 := range names {
		if name, ok := reduced(folded); ok {
			index.put(name, alpha2)
		}
	}
	for folded, alpha2 := range names {
		index.put(folded, alpha2)
	}
	return index
}

// namesIn reads hand-made names; they are taken at any length.
func namesIn(text string) nameIndex {
	index := make(nameIndex)
	for line := range strings.Lines(text) {
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

// officialCountryNames are names by the United Nations and by ISO, in six languages,
// that follow from no rule: README.md says where they come from.
//
//go:embed generate/reviewed/officialnames.txt
var officialCountryNames string

var article = []byte("the ")

// withoutArticle drops "the" before and behind (Bahamas, The).
func withoutArticle(folded []byte) []byte {
	return bytes.TrimSuffix(bytes.TrimPrefix(folded, article), []byte(" the"))
}
