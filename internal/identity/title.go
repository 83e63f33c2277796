package identity

import (
	"bytes"
	"strings"
	"sync"
)

// maxTitle is how much of a job title is read, in bytes: what follows says
// nothing that the beginning did not.
const maxTitle = 200

// Department returns the department a job title belongs to: one of
// "engineering", "sales", "marketing", "finance", "people", "legal",
// "operations", "support", "product", "design", "executive", or "" when the
// title does not tell. Titles may be in English, German, French, Spanish,
// Dutch, Portuguese or Italian.
func Department(title string) string {
	var buffer [maxTitle]byte
	row := departmentMatcher().row(foldTitle(buffer[:0], title))
	if row == noRow {
		return ""
	}
	return departmentRules[row].department
}

// The ranks Seniority returns.
const (
	rankUnknown     = 0 // no title
	rankJunior      = 1 // in training, junior, assistant
	rankContributor = 2 // all that says nothing else
	rankSenior      = 3 // senior, lead, principal
	rankManager     = 4 // manager, team lead
	rankDirector    = 5 // head, director, vice president
	rankChief       = 6 // owner, chief, managing director
)

// Seniority returns how high a job title stands: 0 no title, 1 in training,
// junior or assistant, 2 a title that says nothing else, 3 senior or lead,
// 4 manager, 5 head, director or vice president, 6 owner or chief. The
// languages are those of Department.
func Seniority(title string) int {
	var buffer [maxTitle]byte
	folded := foldTitle(buffer[:0], title)
	if len(folded) == 0 {
		return rankUnknown
	}
	row := seniorityMatcher().row(folded)
	if row == noRow {
		return rankContributor
	}
	rank := seniorityRules[row].rank
	if rank == rankContributor && seniorMatcher().row(folded) != noRow {
		return rankSenior
	}
	return rank
}

func foldTitle(dst []byte, title string) []byte {
	if len(title) > maxTitle {
		title = strings.ToValidUTF8(title[:maxTitle], "")
	}
	return appendFolded(dst, title)
}

// noRow is the answer of a matcher that found nothing; it is behind all rows.
const noRow = 1 << 30

// matcher finds the first row of a table of rules one of whose patterns a text
// contains. A pattern is a word, a phrase of up to three words, a word's
// beginning ("vertrieb*") or a word's end ("*leiter").
type matcher struct {
	whole, beginning, end map[string]int
}

// newMatcher reads the rows' patterns, which are parted by commas.
func newMatcher(rows []string) *matcher {
	m := &matcher{make(map[string]int), make(map[string]int), make(map[string]int)}
	for row, patterns := range rows {
		for pattern := range strings.SplitSeq(patterns, ",") {
			m.add(strings.TrimSpace(pattern), row)
		}
	}
	return m
}

// umlauts writes umlauts the other usual way.
var umlauts = strings.NewReplacer("ä", "ae", "ö", "oe", "ü", "ue")

func (m *matcher) add(pattern string, row int) {
	for _, spelling := range []string{pattern, umlauts.Replace(pattern)} {
		folded := string(appendFolded(nil, spelling))
		switch {
		case folded == "":
		case strings.HasSuffix(spelling, "*"):
			putFirst(m.beginning, folded, row)
		case strings.HasPrefix(spelling, "*"):
			putFirst(m.end, folded, row)
		default:
			putFirst(m.whole, folded, row)
		}
	}
}

func putFirst(rows map[string]int, pattern string, row int) {
	if known, ok := rows[pattern]; !ok || row < known {
		rows[pattern] = row
	}
}

// row returns the first row that matches the folded text, or noRow.
func (m *matcher) row(text []byte) int {
	best := noRow
	for len(text) > 0 {
		word := text[:wordsLength(text, 1)]
		best = min(best, m.wordRow(word), m.phraseRow(text, 2), m.phraseRow(text, 3))
		text = bytes.TrimPrefix(text[len(word):], []byte(" "))
	}
	return best
}

func (m *matcher) wordRow(word []byte) int {
	best := rowIn(m.whole, word)
	for i := range word {
		best = min(best, rowIn(m.beginning, word[:i+1]), rowIn(m.end, word[i:]))
	}
	return best
}

// phraseRow looks up the first n words of text.
func (m *matcher) phraseRow(text []byte, n int) int {
	return rowIn(m.whole, text[:wordsLength(text, n)])
}

func rowIn(rows map[string]int, pattern []byte) int {
	if row, ok := rows[string(pattern)]; ok {
		return row
	}
	return noRow
}

// wordsLength returns the length of the first n words of text.
func wordsLength(text []byte, n int) int {
	length := 0
	for ; n > 0; n-- {
		next := bytes.IndexByte(text[length:], ' ')
		if next < 0 {
			return len(text)
		}
		length += next + 1
	}
	return length - 1
}

var departmentMatcher = sync.OnceValue(func() *matcher {
	rows := make([]string, 0, len(departmentRules))
	for _, rule := range departmentRules {
		rows = append(rows, rule.patterns)
	}
	return newMatcher(rows)
})

var seniorityMatcher = sync.OnceValue(func() *matcher {
	rows := make([]string, 0, len(seniorityRules))
	for _, rule := range seniorityRules {
		rows = append(rows, rule.patterns)
	}
	return newMatcher(rows)
})

var seniorMatcher = sync.OnceValue(func() *matcher { return newMatcher([]string{seniorPatterns}) })
