package main

import (
	"go/ast"
	"go/token"
	"strings"

	"golang.org/x/tools/go/analysis"
)

// allowances are the comments of one directive, such as `//lint:loop reason`.
// One allows a breach on its own line and on the line below it.
type allowances struct {
	pass      *analysis.Pass
	directive string
	by        map[place]*allowance
}

type place struct {
	file string
	line int
}

type allowance struct {
	comment *ast.Comment
	reason  string
	used    bool
}

// readAllowances finds the comments of a directive in the files that are checked.
func readAllowances(pass *analysis.Pass, directive string) *allowances {
	all := &allowances{pass, directive, map[place]*allowance{}}
	for _, file := range checkedFiles(pass) {
		for _, group := range file.Comments {
			for _, comment := range group.List {
				reason, ok := strings.CutPrefix(comment.Text, "//"+directive)
				if !ok || (reason != "" && reason[0] != ' ') {
					continue
				}
				// What analysistest expects stands in the same comment.
				reason, _, _ = strings.Cut(reason, "// want")
				all.by[all.place(comment.Pos())] = &allowance{comment: comment, reason: strings.TrimSpace(reason)}
			}
		}
	}
	return all
}

func (a *allowances) place(pos token.Pos) place {
	p := a.pass.Fset.Position(pos)
	return place{p.Filename, p.Line}
}

// allow reports whether a comment allows what begins at pos.
func (a *allowances) allow(pos token.Pos) bool {
	at := a.place(pos)
	for _, line := range []int{at.line, at.line - 1} {
		if found := a.by[place{at.file, line}]; found != nil {
			found.used = true
			return true
		}
	}
	return false
}

// finish reports comments that give no reason and comments that allow nothing.
func (a *allowances) finish() {
	for _, one := range a.by {
		switch {
		case one.reason == "":
			a.pass.Reportf(one.comment.Pos(), "//%s needs a reason", a.directive)
		case !one.used:
			a.pass.Reportf(one.comment.Pos(), "//%s allows nothing here", a.directive)
		}
	}
}
