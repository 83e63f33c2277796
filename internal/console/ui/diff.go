package ui

import (
	"slices"
	"strings"
)

// DiffLine is a line that stayed (" "), came ("+") or went ("-").
type DiffLine struct{ Sign, Text string }

// Diff compares two texts line by line: the longest common lines stay.
func Diff(before, after string) []DiffLine {
	a, b := linesOf(before), linesOf(after)
	common := make([][]int, len(a)+1)
	for i := range common {
		common[i] = make([]int, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			common[i][j] = max(common[i+1][j], common[i][j+1])
			if a[i] == b[j] {
				common[i][j] = common[i+1][j+1] + 1
			}
		}
	}
	var out []DiffLine
	i, j := 0, 0
	for i < len(a) || j < len(b) {
		switch {
		case i < len(a) && j < len(b) && a[i] == b[j]:
			out = append(out, DiffLine{" ", a[i]})
			i, j = i+1, j+1
		case j < len(b) && (i == len(a) || common[i][j+1] > common[i+1][j]):
			out = append(out, DiffLine{"+", b[j]})
			j++
		default:
			out = append(out, DiffLine{"-", a[i]})
			i++
		}
	}
	return out
}

// linesOf are the lines of a text, bounded so that comparing stays quick.
func linesOf(text string) []string {
	if text == "" {
		return nil
	}
	const most = 1000
	all := strings.Split(text, "\n")
	return all[:min(len(all), most)]
}

// Changed reports whether a diff shows any change.
func Changed(lines []DiffLine) bool {
	return slices.ContainsFunc(lines, func(l DiffLine) bool { return l.Sign != " " })
}
