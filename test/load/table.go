//go:build unix

package main

import (
	"fmt"
	"math"
	"strings"
	"time"
	"unicode/utf8"
)

// table is text in columns.
type table struct {
	header []string
	rows   [][]string
}

func (t table) widths() []int {
	widths := make([]int, len(t.header))
	for _, row := range append([][]string{t.header}, t.rows...) {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	return widths
}

// isNumber reports whether column i holds figures, which stand to the right.
func (t table) isNumber(i int) bool {
	for _, row := range t.rows {
		if strings.Trim(row[i], "0123456789.,-") != "" {
			return false
		}
	}
	return true
}

// line joins the cells of a row, padded to their columns.
func (t table) line(row []string, widths []int, between string) string {
	cells := make([]string, len(row))
	for i, cell := range row {
		pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
		if t.isNumber(i) {
			cells[i] = pad + cell
		} else {
			cells[i] = cell + pad
		}
	}
	return strings.Join(cells, between)
}

// text returns the table for a terminal.
func (t table) text() string {
	widths := t.widths()
	var out strings.Builder
	for _, row := range append([][]string{t.header}, t.rows...) {
		out.WriteString(strings.TrimRight(t.line(row, widths, "  "), " ") + "\n")
	}
	return out.String()
}

// markdown returns the table as Markdown.
func (t table) markdown() string {
	t = t.escaped()
	widths := t.widths()
	var out strings.Builder
	fmt.Fprintf(&out, "| %s |\n|", t.line(t.header, widths, " | "))
	for i, width := range widths {
		rule := strings.Repeat("-", width+2)
		if t.isNumber(i) {
			rule = rule[:width+1] + ":"
		}
		out.WriteString(rule + "|")
	}
	out.WriteString("\n")
	for _, row := range t.rows {
		fmt.Fprintf(&out, "| %s |\n", t.line(row, widths, " | "))
	}
	return out.String()
}

// escaped returns the table with no cell that Markdown would take for two.
func (t table) escaped() table {
	out := table{header: t.header}
	for _, row := range t.rows {
		cells := make([]string, len(row))
		for i, cell := range row {
			cells[i] = strings.ReplaceAll(cell, "|", `\|`)
		}
		out.rows = append(out.rows, cells)
	}
	return out
}

// percentile returns the smallest value that p percent of the sorted ones do
// not exceed (nearest rank); 0 when there are none.
func percentile[T ~int | ~int64](sorted []T, p float64) T {
	if len(sorted) == 0 {
		return 0
	}
	rank := int(math.Ceil(p / 100 * float64(len(sorted))))
	return sorted[max(rank, 1)-1]
}

func inMillis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func millis(d time.Duration) string { return fmt.Sprintf("%.2f", inMillis(d)) }

func mebi(bytes int64) string { return fmt.Sprintf("%.0f", float64(bytes)/(1<<20)) }

// whole returns a rate with its thousands set apart.
func whole(f float64) string {
	digits := fmt.Sprintf("%.0f", f)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}
