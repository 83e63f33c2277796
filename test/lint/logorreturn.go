package main

import (
	"go/ast"
	"go/types"

	"golang.org/x/tools/go/analysis"
	"golang.org/x/tools/go/types/typeutil"
)

// logorreturn enforces "Log an error or return it, never both": who gets an error
// decides what becomes of it, and an error that each level logs fills the log with
// one event. It reports a block that gives an error to a logger and returns the
// same error, bare or wrapped. A function of the same package that gives its
// parameter to a logger counts as a logger.
//
//	return err //lint:both reason
//
// allows it.
var logorreturn = rule("logorreturn", "reports errors that are both logged and returned", "lint:both", checkLogging)

func checkLogging(pass *analysis.Pass, files []*ast.File, allowed *allowances) {
	s := logSearch{info: pass.TypesInfo, loggers: map[*types.Func]bool{}}
	closeOver(pass.TypesInfo, files, s.loggers, s.logsParameter)
	for _, file := range files {
		ast.Inspect(file, func(n ast.Node) bool {
			for _, ret := range s.breaches(statements(n)) {
				if !allowed.allow(ret.Pos()) {
					pass.Reportf(ret.Pos(), "this error was logged in the same block: log it or return it")
				}
			}
			return true
		})
	}
}

// statements returns the statements of a block or of one case.
func statements(n ast.Node) []ast.Stmt {
	switch n := n.(type) {
	case *ast.BlockStmt:
		return n.List
	case *ast.CaseClause:
		return n.Body
	case *ast.CommClause:
		return n.Body
	}
	return nil
}

// logSearch finds errors that are given to a logger.
type logSearch struct {
	info *types.Info
	// loggers are the functions of the package that log an error they are given.
	loggers map[*types.Func]bool
}

// breaches returns the returns of a block whose error one of the statements before has logged.
func (s logSearch) breaches(block []ast.Stmt) (found []*ast.ReturnStmt) {
	logged := map[types.Object]bool{}
	for _, stmt := range block {
		ret, ok := stmt.(*ast.ReturnStmt)
		if !ok {
			s.addLogged(stmt, logged)
			continue
		}
		for _, result := range ret.Results {
			if s.mentions(result, logged) {
				found = append(found, ret)
				break
			}
		}
	}
	return found
}

// addLogged notes the error variables that a statement logs and goes on. What a
// function literal logs, it logs at another time.
func (s logSearch) addLogged(stmt ast.Stmt, logged map[types.Object]bool) {
	ast.Inspect(stmt, func(n ast.Node) bool {
		if _, ok := n.(*ast.FuncLit); ok || leavesAtEnd(statements(n)) {
			return false
		}
		call, ok := n.(*ast.CallExpr)
		if !ok || !s.logs(call) {
			return true
		}
		for _, arg := range call.Args {
			for _, o := range s.errorsIn(arg) {
				logged[o] = true
			}
		}
		return true
	})
}

// leavesAtEnd reports whether what stands behind a block does not run after it.
func leavesAtEnd(block []ast.Stmt) bool {
	if len(block) == 0 {
		return false
	}
	switch block[len(block)-1].(type) {
	case *ast.ReturnStmt, *ast.BranchStmt:
		return true
	}
	return false
}

// mentions reports whether an expression that is an error holds one of the variables.
func (s logSearch) mentions(result ast.Expr, logged map[types.Object]bool) bool {
	if t := s.info.TypeOf(result); t == nil || !isAnError(t) {
		return false
	}
	for _, o := range s.errorsIn(result) {
		if logged[o] {
			return true
		}
	}
	return false
}

// errorsIn returns the variables in an expression that are errors.
func (s logSearch) errorsIn(e ast.Expr) (found []types.Object) {
	ast.Inspect(e, func(n ast.Node) bool {
		if id, ok := n.(*ast.Ident); ok {
			if v, ok := s.info.Uses[id].(*types.Var); ok && isAnError(v.Type()) {
				found = append(found, v)
			}
		}
		return true
	})
	return found
}

func (s logSearch) logs(call *ast.CallExpr) bool {
	fn, ok := typeutil.Callee(s.info, call).(*types.Func)
	if !ok || fn.Pkg() == nil {
		return false
	}
	if s.loggers[fn.Origin()] {
		return true
	}
	if fn.Pkg().Path() != "log/slog" {
		return false
	}
	switch fn.Name() {
	case "Debug", "DebugContext", "Info", "InfoContext", "Warn", "WarnContext", "Error", "ErrorContext", "Log", "LogAttrs":
		return true
	}
	return false
}

// logsParameter reports whether a function logs an error that it is given, or gives
// it to one that does.
func (s logSearch) logsParameter(fn *types.Func, body *ast.BlockStmt) bool {
	logged := map[types.Object]bool{}
	for _, stmt := range body.List {
		s.addLogged(stmt, logged)
	}
	for v := range fn.Signature().Params().Variables() {
		if logged[v] {
			return true
		}
	}
	return false
}

var errorInterface = errorType.Underlying().(*types.Interface)

// isAnError reports whether t can be used as an error.
func isAnError(t types.Type) bool { return t != nil && types.Implements(t, errorInterface) }
