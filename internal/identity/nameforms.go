package identity

import (
	_ "embed"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

// NameForms are the forms of one person's name. Two names are taken for one person's
// when they share an exact form, or when an exact form of one is a loose form of the
// other.
type NameForms struct {
	// Exact are those of FoldName, or the one word of a name that has no more.
	Exact []string
	// Loose are what others write for it: without initials, surname first, a short form
	// of the first name, all in one word. They are no more than look-alikes of each
	// other: Ann B. Lee and Ann C. Lee are both Ann Lee, and two people.
	Loose []string
}

// IsOneWord reports whether the name has one word: what that tells is less.
func (f NameForms) IsOneWord() bool { return len(f.Exact) == 1 && !strings.Contains(f.Exact[0], " ") }

// FormsOfName returns the forms of a name; there are none when it says nothing.
func FormsOfName(name string) NameForms {
	forms := NameForms{Exact: FoldName(name)}
	if len(forms.Exact) == 0 {
		return formsOfOneWord(name)
	}
	words := strings.Fields(forms.Exact[0])
	if generations[words[len(words)-1]] != "" {
		return forms // a father and his son are told apart by less
	}
	full := withoutInitials(words)
	if len(full) < len(words) {
		forms.Loose = append(forms.Loose, strings.Join(full, " "))
	}
	last := len(full) - 1
	forms.Loose = append(forms.Loose, full[last]+" "+strings.Join(full[:last], " "), strings.Join(full, ""))
	if last > 1 {
		forms.Loose = append(forms.Loose, strings.Join(full[1:], " ")+" "+full[0])
	}
	for _, other := range shortForms()[full[0]] {
		forms.Loose = append(forms.Loose, other+" "+strings.Join(full[1:], " "))
	}
	return forms
}

// formsOfOneWord returns the forms of a name of one word, which may be the names of
// more run together: AnnLee, ann.lee.
func formsOfOneWord(name string) NameForms {
	if len(name) > maxName {
		name = strings.ToValidUTF8(name[:maxName], "")
	}
	name = strings.TrimSpace(withoutBrackets(name))
	folded := string(appendFolded(nil, apostrophes.Replace(name)))
	if utf8.RuneCountInString(folded) < 2 || strings.Contains(folded, " ") || honorifics[folded] || generations[folded] != "" {
		return NameForms{}
	}
	forms := NameForms{Exact: []string{folded}}
	if !strings.Contains(name, " ") {
		forms.Loose = FoldName(parted(name))
	}
	return forms
}

// parted puts spaces where words of a name run together: between a small and a
// capital letter, and for full stops.
func parted(name string) string {
	var out strings.Builder
	small := false
	for _, r := range name {
		if r == '.' || small && unicode.IsUpper(r) {
			out.WriteByte(' ')
		}
		if r != '.' {
			out.WriteRune(r)
		}
		small = unicode.IsLower(r)
	}
	return out.String()
}

// withoutInitials drops single letters as long as two words are left.
func withoutInitials(words []string) []string {
	var full []string
	for _, word := range words {
		if len(word) > 1 { // a character of Chinese has more than one byte
			full = append(full, word)
		}
	}
	if len(full) < 2 {
		return words
	}
	return full
}

//go:embed generate/reviewed/shortnames.txt
var shortNameList string

// shortForms maps first names to their short forms, and these to what they are short
// for. README.md says where they come from.
var shortForms = sync.OnceValue(func() map[string][]string {
	forms := map[string][]string{}
	for line := range strings.Lines(shortNameList) {
		names := strings.Fields(line)
		for _, short := range names[1:] {
			forms[names[0]] = append(forms[names[0]], short)
			forms[short] = append(forms[short], names[0])
		}
	}
	return forms
})

// Explains reports whether a local part is made of the words of a name, whole or
// shortened, in any order: alee, ann.lee and lee-a of Ann Lee. Separators do not
// matter; digits belong to no name.
func (f NameForms) Explains(local string) bool {
	for _, form := range f.Exact {
		if isMadeOf(local, strings.Fields(form)) {
			return true
		}
	}
	return false
}

// isMadeOf reports whether text is beginnings of some of the words, one after the other.
func isMadeOf(text string, words []string) bool {
	text = strings.TrimLeft(text, ".-_")
	if text == "" {
		return true
	}
	for i, word := range words {
		for n := commonPrefix(text, word); n > 0; n-- {
			rest := append(append([]string{}, words[:i]...), words[i+1:]...)
			if isMadeOf(text[n:], rest) {
				return true
			}
		}
	}
	return false
}

func commonPrefix(a, b string) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}
