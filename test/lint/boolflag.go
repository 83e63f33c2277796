package main

import (
	"go/ast"
	"go/types"
	"slices"
	"strings"

	"golang.org/x/tools/go/analysis"
)

// boolflag enforces "no flags that switch behaviour": a call such as
// Release(ctx, claim, due, true) does not say what it does, and a function with a
// flag is two functions. It reports exported functions and methods below internal/
// that take a bool. One whose bool is a fact to be stored, and not a choice, says so:
//
//	//lint:flag failing is what was observed, and is stored
var boolflag = rule("boolflag", "reports exported functions with a bool parameter", "lint:flag", checkFlags)

// toBeMended are functions of the outbox that are known to break the rule. They are
// about to move, so no package is named; each goes from here when it is mended.
var toBeMended = []string{"Postpone", "Release", "UnsendAll"}

func checkFlags(pass *analysis.Pass, files []*ast.File, allowed *allowances) {
	if !strings.HasPrefix(pass.Pkg.Path(), module+"internal/") {
		return
	}
	for _, file := range files {
		for _, d := range file.Decls {
			decl, ok := d.(*ast.FuncDecl)
			if !ok || !decl.Name.IsExported() {
				continue
			}
			fn, ok := pass.TypesInfo.Defs[decl.Name].(*types.Func)
			if !ok || !ofExported(fn) {
				continue
			}
			name := boolParameter(fn)
			if name == "" || slices.Contains(toBeMended, fn.Name()) || allowed.allow(decl.Pos()) {
				continue
			}
			pass.Reportf(decl.Pos(), "%s takes the bool %s: write two functions, or say with //lint:flag why it switches no behaviour", decl.Name.Name, name)
		}
	}
}

// ofExported reports whether a function is not a method of an unexported type.
func ofExported(fn *types.Func) bool {
	named := receiverName(fn)
	return named == nil || named.Exported()
}

// receiverName returns the type that a method belongs to; nil when fn is a function.
func receiverName(fn *types.Func) *types.TypeName {
	t := receiver(fn)
	if t == nil {
		return nil
	}
	if p, ok := t.(*types.Pointer); ok {
		t = p.Elem()
	}
	if named, ok := t.(*types.Named); ok {
		return named.Obj()
	}
	return nil
}

// boolParameter returns the name of the first parameter that is a bool.
func boolParameter(fn *types.Func) string {
	for v := range fn.Signature().Params().Variables() {
		if basic, ok := v.Type().Underlying().(*types.Basic); ok && basic.Kind() == types.Bool {
			return v.Name()
		}
	}
	return ""
}
