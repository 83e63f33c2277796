package identity

import (
	"strings"

	"golang.org/x/net/publicsuffix"
)

// nationalProviders have a domain in many countries, one name below a public
// suffix each.
var nationalProviders = wordSet(`gmail googlemail hotmail outlook yahoo ymail rocketmail windowslive gmx msn protonmail`)

func isPublicSuffix(domain string) bool {
	suffix, icann := publicsuffix.PublicSuffix(domain)
	return icann && suffix == domain
}

// oftenMistyped are the providers whose domains are typed most, and so mistyped most,
// with long names: who is one letter away from a short one may be a company.
var oftenMistyped = []struct{ name, top string }{
	{"gmail", "com"}, {"googlemail", "com"}, {"hotmail", "com"}, {"hotmail", "fr"}, {"outlook", "com"}, {"yahoo", "com"}, {"yahoo", "fr"}, {"icloud", "com"},
	{"protonmail", "com"}, {"aol", "com"}, {"comcast", "net"}, {"verizon", "net"}, {"wanadoo", "fr"}, {"laposte", "net"}, {"seznam", "cz"}, {"yandex", "ru"}, {"rediffmail", "com"},
}

// wordsMistyped are providers whose names are short, or words: with a letter less or
// another one they are words again, which companies have for names (libro.it). With
// a letter doubled, or two swapped, they are not.
var wordsMistyped = []struct{ name, top string }{{"orange", "fr"}, {"libero", "it"}, {"live", "com"}, {"free", "fr"}}

// mistypedTops are what becomes of .com.
var mistypedTops = wordSet(`co cm con om comm cim vom xom ocm cpm coom ccom cmo c0m dom`)

// minSlip is the shortest name of which a slip is recognised; minFarSlip is the
// shortest of which any wrong letter is one: so long a name is nobody else's.
const minSlip, minFarSlip = 5, 8

// isMistyped reports whether a domain is one slip of the finger away from a
// provider's: a letter left out, doubled, typed once more elsewhere, beside the right
// key, or two swapped.
func isMistyped(domain string) bool {
	dot := strings.LastIndexByte(domain, '.')
	name, top := domain[:max(dot, 0)], domain[dot+1:]
	if len(name) < 3 || len(name) > 12 || strings.Contains(name, ".") {
		return false
	}
	for _, p := range oftenMistyped {
		if longer := len(name) - len(p.name); longer < -1 || longer > 1 {
			continue
		}
		if top == p.top && len(p.name) >= minSlip && isSlip(name, p.name) || name == p.name && p.top == "com" && mistypedTops[top] {
			return true
		}
	}
	for _, p := range wordsMistyped {
		if top == p.top && len(name) >= len(p.name) && (hasLetterTwice(name, p.name) || isSwapped(name, p.name)) {
			return true
		}
	}
	return false
}

// hasLetterTwice reports whether typed is meant with one of its letters doubled.
func hasLetterTwice(typed, meant string) bool {
	i := 0
	for i < len(typed) && i < len(meant) && typed[i] == meant[i] {
		i++
	}
	return len(typed) == len(meant)+1 && i > 0 && typed[i] == typed[i-1] && typed[i+1:] == meant[i:]
}

// isSwapped reports whether typed is meant with two neighbours swapped.
func isSwapped(typed, meant string) bool {
	if len(typed) != len(meant) {
		return false
	}
	i := 0
	for i < len(typed) && typed[i] == meant[i] {
		i++
	}
	return i+1 < len(meant) && typed[i] == meant[i+1] && typed[i+1] == meant[i] && typed[i+2:] == meant[i+2:]
}

// isSlip reports whether typed is meant with one slip.
func isSlip(typed, meant string) bool {
	i := 0
	for i < len(typed) && i < len(meant) && typed[i] == meant[i] {
		i++
	}
	switch len(typed) - len(meant) {
	case -1: // the first letter is seldom left out
		return i > 0 && typed[i:] == meant[i+1:]
	case 0:
		if i == len(meant) {
			return false
		}
		if typed[i+1:] == meant[i+1:] {
			return areNeighbours(typed[i], meant[i]) || i > 0 && (len(meant) >= minFarSlip || isWrongOneTwice(typed, i))
		}
		return isSwapped(typed, meant)
	case 1:
		if i == 0 || typed[i+1:] != meant[i:] {
			return false
		}
		return typed[i] == typed[i-1] || areNeighbours(typed[i], typed[i-1]) || i < len(meant) && areNeighbours(typed[i], meant[i]) ||
			i < len(meant) && len(meant) > minSlip && strings.IndexByte(meant, typed[i]) >= 0
	}
	return false
}

// isWrongOneTwice reports whether a wrong letter is that beside it in the word: of a
// double letter the other one was doubled (yahho).
func isWrongOneTwice(typed string, at int) bool {
	return typed[at] == typed[at-1] || at+1 < len(typed) && typed[at] == typed[at+1]
}

// keyboard is where the letters lie on most keyboards.
var keyboard = [...]string{"qwertyuiop", "asdfghjkl", "zxcvbnm"}

func areNeighbours(a, b byte) bool {
	rowA, columnA := keyOf(a)
	rowB, columnB := keyOf(b)
	if rowA < 0 || rowB < 0 || a == b {
		return false
	}
	across, down := columnA-columnB, rowA-rowB
	return across*across <= 1 && down*down <= 1
}

func keyOf(letter byte) (row, column int) {
	for row, keys := range keyboard {
		if column := strings.IndexByte(keys, letter); column >= 0 {
			return row, column
		}
	}
	return -1, 0
}
