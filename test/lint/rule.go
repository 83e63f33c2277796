package main

import (
	"go/ast"
	"go/types"

	"golang.org/x/tools/go/analysis"
)

// rule makes an analyzer of a check of the programs' files: comments of the directive
// allow breaches, see allowances.
func rule(name, doc, directive string, check func(*analysis.Pass, []*ast.File, *allowances)) *analysis.Analyzer {
	return &analysis.Analyzer{Name: name, Doc: doc, Run: func(pass *analysis.Pass) (any, error) {
		allowed := readAllowances(pass, directive)
		check(pass, checkedFiles(pass), allowed)
		allowed.finish()
		return nil, nil
	}}
}

// closeOver notes the functions of a package for which holds is true, again and again
// until no more are found: what is noted may make it hold for others.
func closeOver(info *types.Info, files []*ast.File, noted map[*types.Func]bool, holds func(*types.Func, *ast.BlockStmt) bool) {
	for grown := true; grown; {
		grown = false
		for _, file := range files {
			for _, d := range file.Decls {
				decl, ok := d.(*ast.FuncDecl)
				if !ok || decl.Body == nil {
					continue
				}
				fn, ok := info.Defs[decl.Name].(*types.Func)
				if ok && !noted[fn] && holds(fn, decl.Body) {
					noted[fn], grown = true, true
				}
			}
		}
	}
}
