package main

import (
	"go/ast"
	"go/types"
	"slices"
	"strings"

	"golang.org/x/tools/go/analysis"
	"golang.org/x/tools/go/types/typeutil"
)

// processclock enforces "the database's clock decides": where work is due, expired,
// claimed or retired, the clock of a process may be wrong by days and nothing comes of
// it. In the packages that decide about work it reports time.Now, time.Since and
// time.Until. One that only measures, or whose result is only shown or kept, says so on
// its line or above it:
//
//	began := time.Now() //lint:clock it measures the turn
//
// time.Since of what was allowed measures by a clock that nobody sets, and need not say
// more.
var processclock = rule("processclock", "reports uses of the process's clock where the database's decides", "lint:clock", checkClocks)

// deciding are the packages that decide about work.
var deciding = []string{"credit", "delivery", "directory", "erasure", "intake", "outbox", "pipeline", "platform", "pusher", "queue", "relay", "retention", "worker"}

func checkClocks(pass *analysis.Pass, files []*ast.File, allowed *allowances) {
	if !slices.Contains(deciding, strings.TrimPrefix(pass.Pkg.Path(), module+"internal/")) {
		return
	}
	measured := measuredVariables(pass.TypesInfo, files, allowed)
	for _, file := range files {
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			name := clockFunction(pass.TypesInfo, call)
			if name == "" || name == "Since" && measured[variable(pass.TypesInfo, call.Args[0])] || allowed.allow(call.Pos()) {
				return true
			}
			pass.Reportf(call.Pos(), "time.%s asks the clock of the process, and here the database's decides: compare in SQL with {now}, count from when it is written, or say with //lint:clock why it decides nothing", name)
			return true
		})
	}
}

// clockFunction returns which function of package time a call asks the clock with; "" is
// none.
func clockFunction(info *types.Info, call *ast.CallExpr) string {
	fn, ok := typeutil.Callee(info, call).(*types.Func)
	if !ok || fn.Pkg() == nil || fn.Pkg().Path() != "time" || receiver(fn) != nil || !slices.Contains([]string{"Now", "Since", "Until"}, fn.Name()) {
		return ""
	}
	return fn.Name()
}

// measuredVariables returns the variables and fields that are set to a time.Now which a
// comment allows.
func measuredVariables(info *types.Info, files []*ast.File, allowed *allowances) map[types.Object]bool {
	measured := map[types.Object]bool{}
	for _, file := range files {
		ast.Inspect(file, func(n ast.Node) bool {
			assign, ok := n.(*ast.AssignStmt)
			if !ok || len(assign.Lhs) != len(assign.Rhs) {
				return true
			}
			for i, value := range assign.Rhs {
				if call, ok := value.(*ast.CallExpr); ok && clockFunction(info, call) == "Now" && allowed.allow(call.Pos()) {
					measured[variable(info, assign.Lhs[i])] = true
				}
			}
			return true
		})
	}
	delete(measured, nil)
	return measured
}

// variable returns the variable or the field that an expression names; nil where it is
// none.
func variable(info *types.Info, e ast.Expr) types.Object {
	switch e := e.(type) {
	case *ast.Ident:
		return info.ObjectOf(e)
	case *ast.SelectorExpr:
		return info.ObjectOf(e.Sel)
	}
	return nil
}
