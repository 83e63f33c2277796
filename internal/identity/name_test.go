package identity

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

func sameName(a, b string) bool {
	return slices.ContainsFunc(FoldName(a), func(form string) bool { return slices.Contains(FoldName(b), form) })
}

func TestOneNameInManyForms(t *testing.T) {
	t.Parallel()
	for name, others := range map[string]string{
		"John Doe":             "john doe|JOHN DOE|John  Doe|Doe, John|DOE, John|doe,john|DOE John|John DOE|Mr. John Doe|Doe, Mr John|Dr. John Doe|John Doe, PhD|John Doe, Ph.D.|John Doe PhD|Doe, John, MBA|Prof. Dr. John Doe|John Doe (he/him)|John Doe [Acme]|John \"Jack\" Doe",
		"José García Pérez":    "Jose Garcia Perez|García Pérez, José|Sr. José García Pérez|Señor José García Pérez|GARCÍA PÉREZ José|Jose\u0301 Garcia Perez",
		"Jürgen Müller":        "Juergen Mueller|Jurgen Muller|Müller, Jürgen|Herr Jürgen Müller|Dipl.-Ing. Jürgen Müller|Dr. rer. nat. Jürgen Müller|JÜRGEN MÜLLER|MÜLLER Jürgen",
		"Jan van der Berg":     "Berg, Jan van der|van der Berg, Jan|Jan Van Der Berg|dhr. Jan van der Berg|Drs. Jan van der Berg",
		"Anna von Hohenstein":  "von Hohenstein, Anna|Hohenstein, Anna von|Frau Anna von Hohenstein",
		"Anne-Marie O'Brien":   "Anne Marie O’Brien|ANNE-MARIE OBRIEN|O'Brien, Anne-Marie|Ms Anne-Marie O'Brien",
		"Søren Ørsted":         "Soren Orsted|Soeren Oersted|Ørsted, Søren",
		"Åsa Åberg":            "Asa Aberg|Aasa Aaberg",
		"Łukasz Żak":           "Lukasz Zak|Żak, Łukasz",
		"Martin Luther King":   "King, Martin Luther",
		"John Doe Jr.":         "John Doe, Jr.|Doe, John Jr.|John Doe Junior|Doe Jr., John",
		"Giulia Rossi":         "Dott.ssa Giulia Rossi|Sig.ra Giulia Rossi",
		"Weiß Straßer":         "Weiss Strasser",
		"Жанна Иванова":        "ЖАННА ИВАНОВА|Иванова, Жанна",
		"Jan Novák":            "Ing. Jan Novák|Mag. Jan Novak",
		"John Quincy Adams II": "Adams, John Quincy II|John Quincy Adams, II",
	} {
		for other := range strings.SplitSeq(others, "|") {
			if !sameName(name, other) {
				t.Errorf("%q and %q are %q and %q", name, other, FoldName(name), FoldName(other))
			}
		}
	}
}

func TestOtherNamesAreOthers(t *testing.T) {
	t.Parallel()
	for name, others := range map[string]string{
		"John Doe":         "Jon Doe|John Dow|John A. Doe|J. Doe|Jane Doe|Doe John|John Doe Jr.|John Doe III|John Doe-Smith|Mary John Doe",
		"John Doe Jr.":     "John Doe Sr.|John Doe III",
		"James Martin":     "Martin James",
		"Jan van der Berg": "Jan Berg|Jan van Berg|Jan vander Berg",
		"Anna von Stein":   "Anna Stein|Anna vom Stein",
		"Michael Novak":    "Michal Novak",
		"Jack Ma":          "Jack Mo|Jack",
		"Manuel Sue":       "Manul Su",
		"Phil Collins":     "Collins Nat|Nat Collins",
		"Ing-Marie Alm":    "Marie Alm",
	} {
		for other := range strings.SplitSeq(others, "|") {
			if sameName(name, other) {
				t.Errorf("%q is taken for %q: %q", other, name, FoldName(other))
			}
		}
	}
}

func TestLessThanTwoWordsAreNoFullName(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"", " ", "Anna", "Dr. Anna", "Anna, PhD", "Anna (Acme)", "Mr", "Mr. Jr.", ",", "(John Doe)", "王伟", "Anna, Jr", "\xff"} {
		if forms := FoldName(name); len(forms) > 0 {
			t.Errorf("FoldName(%q) = %q, want none", name, forms)
		}
	}
}

func FuzzFoldName(f *testing.F) {
	for _, seed := range []string{"John Doe", "Doe, John", "Müller, Jürgen (sie)", "\xff", "ﷺ İ ß", strings.Repeat("é ", 300), `"a" b`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if form, ok := nameForm(name); ok && form != strings.Join(nameWords(name), " ") {
			t.Errorf("%q folds to %q, the long way to %q", name, form, nameWords(name))
		}
		for _, form := range FoldName(name) {
			if !utf8.ValidString(form) && utf8.ValidString(name) || form == "" {
				t.Errorf("FoldName(%q) = %q", name, form)
			}
		}
		if len(name)+2 <= maxName && len(FoldName(name)) > 0 && !sameName(name, " "+name+" ") {
			t.Errorf("%q is not itself with spaces around it", name)
		}
	})
}

func BenchmarkFoldName(b *testing.B) {
	for _, name := range []string{"John Doe", "Müller, Jürgen"} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				FoldName(name)
			}
		})
	}
}

func TestPlainNamesFoldLikeAllOthers(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"John Doe", "john doe", "Mary Ann Smith", "Jan van der Berg", "José García Pérez", "Jürgen Müller", "Anne-Marie Weiß", "Иван Иванов"} {
		if form := foldedName(name); !isPlainName(name) || !isPlainForm(form) || form != strings.Join(nameWords(name), " ") {
			t.Errorf("%q folds to %q, the long way to %q", name, form, nameWords(name))
		}
	}
	for _, name := range []string{"", " ", "John", "John  Doe", "John Doe ", "DOE John", "Mr Doe", "John Doe Jr", "John Doe PhD", "Doe, John", "J. Doe", "Tom O'Neil"} {
		if isPlainName(name) && isPlainForm(foldedName(name)) {
			t.Errorf("%q needs no closer look", name)
		}
	}
}
