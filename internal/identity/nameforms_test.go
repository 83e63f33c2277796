package identity

import (
	"slices"
	"strings"
	"testing"
)

func samePerson(a, b string) bool {
	x, y := FormsOfName(a), FormsOfName(b)
	in := func(list []string) func(string) bool {
		return func(form string) bool { return slices.Contains(list, form) }
	}
	return slices.ContainsFunc(x.Exact, in(y.Exact)) || slices.ContainsFunc(x.Exact, in(y.Loose)) || slices.ContainsFunc(x.Loose, in(y.Exact))
}

func TestOnePersonInManyNames(t *testing.T) {
	t.Parallel()
	for name, others := range map[string]string{
		"Ann Lee":     "Ann B. Lee|Ann B Lee|Lee Ann|AnnLee|annlee|ann.lee|ann_lee|ann-lee|Lee, Ann B.|Annie Lee|Ann.Lee",
		"Daniel Frei": "Dan Frei|Danny Frei|Daniel F. Frei|Frei Daniel|dan frei|DanielFrei",
		"Wulandari":   "WULANDARI|wulandari",
		"Mary Jo Lee": "Lee Mary Jo|Jo Lee Mary|MaryJoLee",
		"Bob Stone":   "Robert Stone|Robert Q. Stone",
	} {
		for other := range strings.SplitSeq(others, "|") {
			if !samePerson(name, other) || !samePerson(other, name) {
				t.Errorf("%q and %q are %q and %q", name, other, FormsOfName(name), FormsOfName(other))
			}
		}
	}
}

func TestTwoPeopleInLikeNames(t *testing.T) {
	t.Parallel()
	for name, others := range map[string]string{
		"Ann Lee":        "Anna Lea|Ann Leeds|Jan Lee|Ann Lee Jr.|A. Lee|Ann|Lee|Dr. Lee",
		"Ann B. Lee":     "Ann C. Lee",
		"Alexander Lang": "Alexandra Lang|Alexander Long",
		"Daniel Frei":    "Daniela Frei|Dan Freitag|David Frei",
		"Bob Stone":      "Bill Stone|Rob Store",
		"Anna":           "Anne|Anna Lee|Hanna",
		"John Doe Jr.":   "John Doe|Doe John|John Doe Sr.",
		"":               " |Dr.|-",
	} {
		for other := range strings.SplitSeq(others, "|") {
			if samePerson(name, other) {
				t.Errorf("%q is taken for %q: %q, %q", other, name, FormsOfName(name), FormsOfName(other))
			}
		}
	}
}

func TestShortNamesAreFolded(t *testing.T) {
	t.Parallel()
	for name, others := range shortForms() {
		for _, word := range append([]string{name}, others...) {
			if string(appendFolded(nil, word)) != word || slices.Contains(others, name) {
				t.Errorf("%s: %q can never be found", name, word)
			}
		}
	}
}

func TestANameExplainsTheLocalPartsMadeOfIt(t *testing.T) {
	t.Parallel()
	forms := FormsOfName("Ann Maria Lee")
	for _, local := range []string{"ann", "ann.lee", "alee", "leea", "lee_ann", "amlee", "annm.lee", "a", "annmarialee"} {
		if !forms.Explains(local) {
			t.Errorf("%q is not made of %q", local, forms.Exact)
		}
	}
	for _, local := range []string{"ann.lee2", "ab1234", "ann.x.lee", "annlees", "annann"} {
		if forms.Explains(local) {
			t.Errorf("%q is made of %q", local, forms.Exact)
		}
	}
}

func BenchmarkFormsOfName(b *testing.B) {
	for _, name := range []string{"John Doe", "Müller, Jürgen"} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				FormsOfName(name)
			}
		})
	}
}
