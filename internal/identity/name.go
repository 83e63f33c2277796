package identity

import (
	"slices"
	"strings"
	"unicode"
)

// maxName is how much of a name is read, in bytes.
const maxName = 200

// FoldName returns the forms under which a full name is compared: two people
// of one company who share a form are taken for one person. Case, accents,
// punctuation, honorifics (Dr., Frau, PhD), words in brackets and the order of
// "Doe, John" do not matter; a surname in capitals may stand first (DOE John).
// Initials, infixes (van der, von) and generations (Jr., III) do. Letters that
// some write as two (ü as ue) make a second form. A name of one word has no
// form: a company has many an Anna.
func FoldName(name string) []string {
	if len(name) > maxName {
		name = strings.ToValidUTF8(name[:maxName], "")
	}
	plain, ok := nameForm(name)
	if !ok {
		return nil
	}
	written := writtenOut.Replace(name)
	if written == name {
		return []string{plain}
	}
	other, _ := nameForm(written)
	if other == plain {
		return []string{plain}
	}
	return []string{plain, other}
}

// nameForm returns one form of a full name; ok is false for what is none.
func nameForm(name string) (form string, ok bool) {
	if isPlainName(name) {
		if form = foldedName(name); isPlainForm(form) {
			return form, true
		}
	}
	words := nameWords(name)
	return strings.Join(words, " "), len(words) > 0
}

// isPlainName reports whether a name is written like most: two words or more,
// of letters that are not all capitals, a space or a hyphen between them.
func isPlainName(name string) bool {
	letters, capitals, parts := 0, 0, 0
	between := true // spaces and hyphens stand alone, and not at the ends
	for _, r := range name {
		switch {
		case r == ' ' || r == '-':
			if between || r == ' ' && isCapitals(letters, capitals) {
				return false
			}
			if r == ' ' { // MARIE-ANNE is one word in capitals
				letters, capitals = 0, 0
			}
			parts++
			between = true
		case unicode.IsLetter(r):
			letters++
			if unicode.IsUpper(r) {
				capitals++
			}
			between = false
		case !unicode.Is(unicode.Mn, r):
			return false
		}
	}
	return !between && !isCapitals(letters, capitals) && parts > 0
}

// isCapitals reports whether a word is a surname in capitals. Two capitals are
// initials.
func isCapitals(letters, capitals int) bool { return letters > 2 && capitals == letters }

func foldedName(name string) string {
	var buffer [maxName]byte
	return string(appendFolded(buffer[:0], name))
}

// isPlainForm reports whether a folded name still has two words, and none of them
// needs a closer look.
func isPlainForm(form string) bool {
	if !strings.Contains(form, " ") {
		return false
	}
	for first, rest := true, form; rest != ""; first = false {
		var word string
		word, rest, _ = strings.Cut(rest, " ")
		if first && honorifics[word] || generations[word] != "" || credentials[word] {
			return false
		}
	}
	return true
}

// writtenOut writes letters the other way that is usual without them.
var writtenOut = strings.NewReplacer("ä", "ae", "ö", "oe", "ü", "ue", "ø", "oe", "å", "aa", "Ä", "Ae", "Ö", "Oe", "Ü", "Ue", "Ø", "Oe", "Å", "Aa")

// apostrophes vanish: O'Brien is OBrien.
var apostrophes = strings.NewReplacer("'", "", "’", "", "ʼ", "", "`", "", "´", "")

// nameWords returns the folded words of a full name, the given names first,
// and none for what is no full name.
func nameWords(name string) []string {
	parts := strings.FieldsFunc(apostrophes.Replace(withoutBrackets(name)), func(r rune) bool { return r == ',' || r == ';' || r == '，' })
	parts = slices.DeleteFunc(parts, func(part string) bool { return strings.TrimSpace(part) == "" })
	var names [][]string
	var generation []string
	count := 0
	for i, part := range parts {
		var words []string
		words, generation = takeGeneration(wordsOfPart(part), generation, i == 0)
		words = withoutCredentials(words, i > 0)
		if len(words) > 0 {
			names = append(names, words)
		}
		count += len(words)
	}
	if count < 2 {
		return nil
	}
	if len(names) == 2 {
		slices.Reverse(names) // Doe, John
	}
	return append(slices.Concat(names...), generation...)
}

// wordsOfPart returns the folded words of what stands between two commas.
func wordsOfPart(part string) []string {
	words := strings.Fields(part)
	doctor := false
	for len(words) > 0 && isHonorific(words[0], &doctor) {
		words = words[1:]
	}
	return strings.Fields(string(appendFolded(nil, strings.Join(surnameLast(words), " "))))
}

// withoutBrackets drops what stands in brackets: (she/her), (Acme), "Bob".
func withoutBrackets(name string) string {
	if !strings.ContainsAny(name, `([{"“„`) {
		return name
	}
	var kept strings.Builder
	depth, quoted := 0, false
	for _, r := range name {
		switch {
		case strings.ContainsRune("([{", r):
			depth++
		case strings.ContainsRune(")]}", r):
			depth = max(depth-1, 0)
			kept.WriteByte(' ')
		case strings.ContainsRune(`"“”„`, r):
			quoted = !quoted
			kept.WriteByte(' ')
		case depth == 0 && !quoted:
			kept.WriteRune(r)
		}
	}
	return kept.String()
}

// surnameLast puts a surname in capitals that stands first behind the given
// names.
func surnameLast(words []string) []string {
	n := 0
	for n < len(words) && isSurname(words[n]) {
		n++
	}
	if n == 0 || n == len(words) || slices.ContainsFunc(words[n:], isSurname) {
		return words
	}
	return slices.Concat(words[n:], words[:n])
}

func isSurname(word string) bool {
	letters, capitals := 0, 0
	for _, r := range word {
		if unicode.IsLetter(r) {
			letters++
		}
		if unicode.IsUpper(r) {
			capitals++
		}
	}
	return isCapitals(letters, capitals)
}

// generations tell father from daughter; they stand last, wherever they stood.
var generations = map[string]string{"jr": "jr", "junior": "jr", "sr": "sr", "senior": "sr", "ii": "ii", "iii": "iii", "iv": "iv", "2nd": "ii", "3rd": "iii"}

// takeGeneration moves generations from words to the others. The first word of
// a name is none: Sr. García is a señor.
func takeGeneration(words, taken []string, isFirst bool) (rest, all []string) {
	for i, w := range words {
		if g, ok := generations[w]; ok && (i > 0 || !isFirst) {
			taken = append(taken, g)
			continue
		}
		rest = append(rest, w)
	}
	return rest, taken
}

// honorifics stand before a name. Those that are names too (Don, Fr) are not
// among them.
var honorifics = wordSet(`mr mrs ms miss mx dr drs prof professor professeur professora sir madam mister doctor doktor
	herr frau hr hrn dipl dkfm monsieur madame mademoiselle mme mlle señor senor señora senora señorita senorita sr sra srta
	signor signora signorina dott dottssa dottor dottoressa sig sigra senhor senhora doutor doutora dra mevrouw mevr meneer dhr mw`)

// dottedHonorifics are names, or parts of them, without a full stop.
var dottedHonorifics = wordSet(`ing mag mmag ir avv lic`)

// faculties stand between a doctor and the name: Dr. rer. nat.
var faculties = wordSet(`rer nat med phil jur pol oec theol habil hc`)

// isHonorific reports whether a word as it was written is part of a title;
// doctor keeps whether a doctor's went before.
func isHonorific(word string, doctor *bool) bool {
	folded := strings.Fields(string(appendFolded(nil, word)))
	dotted := strings.ContainsRune(word, '.')
	for _, w := range folded {
		if !honorifics[w] && (!dotted || !dottedHonorifics[w]) && (!*doctor || !faculties[w]) {
			return false
		}
		*doctor = *doctor || w == "dr"
	}
	return len(folded) > 0
}

// credentials stand behind a name.
var credentials = wordSet(`phd dphil md mba emba msc bsc meng beng llm llb jd esq cpa cfa pmp acca fca dds dvm drphil mph`)

// shortCredentials are surnames too; they count only alone behind a comma.
var shortCredentials = wordSet(`ma ba bs ms do rn ca pe fh bed med dr prof`)

func withoutCredentials(words []string, behindComma bool) []string {
	for len(words) > 0 && credentials[words[len(words)-1]] {
		words = words[:len(words)-1]
	}
	if behindComma && !slices.ContainsFunc(words, func(w string) bool { return !shortCredentials[w] && !credentials[w] }) {
		return nil
	}
	return words
}
