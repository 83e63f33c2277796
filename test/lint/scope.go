package main

import (
	"go/ast"
	"path"
	"strings"

	"golang.org/x/tools/go/analysis"
)

// module is the path that all packages of this module begin with.
const module = "usersync/"

// checkedFiles returns the files that the rules are for: those of the programs,
// without tests and without the packages that only tests use.
func checkedFiles(pass *analysis.Pass) []*ast.File {
	if !isProduct(pass.Pkg.Path()) {
		return nil
	}
	var files []*ast.File
	for _, file := range pass.Files {
		if !strings.HasSuffix(pass.Fset.File(file.Pos()).Name(), "_test.go") {
			files = append(files, file)
		}
	}
	return files
}

// isProduct reports whether a package is part of the programs.
func isProduct(pkg string) bool {
	below, ours := strings.CutPrefix(pkg, module)
	if !ours || strings.HasPrefix(below, "test/") || strings.HasPrefix(below, "examples/") {
		return false
	}
	name := path.Base(below)
	return !strings.HasSuffix(name, "test") && !strings.HasSuffix(name, "_test") && !strings.HasSuffix(below, ".test") && name != "fake"
}
