package main

import (
	"go/ast"
	"go/types"
	"slices"
	"strings"

	"golang.org/x/tools/go/analysis"
	"golang.org/x/tools/go/types/typeutil"
)

// queryloop enforces "No query in a loop": what is asked of the database or of
// Redis for many things is asked for all of them at once. A loop that retries,
// follows a cursor or works slice after slice says so, on its line or above it:
//
//	for more { //lint:loop each turn removes another 1,000 rows
//
// A loop that only waits for events, which is a bare for around one select, need
// not, and a call in a return statement ends the loop.
//
// A call asks when it takes a context and is a method of the store or has the
// store or a transaction as its first or second parameter; when it is a method of
// the queue; when it belongs to one of the libraries beneath these; or when it is a
// function of the same package that comes to such a call. It does not see through interfaces and function
// values, nor into functions of other packages.
var queryloop = rule("queryloop", "reports loops that ask the database or Redis in each turn", "lint:loop", checkLoops)

func checkLoops(pass *analysis.Pass, files []*ast.File, allowed *allowances) {
	q := querySearch{info: pass.TypesInfo, asking: map[*types.Func]bool{}}
	closeOver(pass.TypesInfo, files, q.asking, func(_ *types.Func, body *ast.BlockStmt) bool { return q.first(nil, body) != nil })
	for _, file := range files {
		ast.Inspect(file, func(n ast.Node) bool {
			loop, repeated := loopOf(n)
			if loop == nil {
				return true
			}
			if call := q.first(leaves, repeated...); call != nil && !allowed.allow(loop.Pos()) {
				pass.Reportf(loop.Pos(), "each turn of this loop asks the database or Redis, at line %d with %s: ask once for all, or say why not with //lint:loop",
					pass.Fset.Position(call.Pos()).Line, types.ExprString(call.Fun))
			}
			return true
		})
	}
}

// loopOf returns a loop and the parts of it that run in every turn; nil when n is none.
func loopOf(n ast.Node) (loop ast.Node, repeated []ast.Node) {
	switch n := n.(type) {
	case *ast.RangeStmt:
		return n, []ast.Node{n.Body}
	case *ast.ForStmt:
		if waitsForEvents(n) {
			return nil, nil
		}
		repeated = []ast.Node{n.Body}
		if n.Cond != nil {
			repeated = append(repeated, n.Cond)
		}
		if n.Post != nil {
			repeated = append(repeated, n.Post)
		}
		return n, repeated
	}
	return nil, nil
}

func waitsForEvents(loop *ast.ForStmt) bool {
	if loop.Init != nil || loop.Cond != nil || loop.Post != nil || len(loop.Body.List) != 1 {
		return false
	}
	_, ok := loop.Body.List[0].(*ast.SelectStmt)
	return ok
}

// querySearch finds calls that ask the database or Redis.
type querySearch struct {
	info *types.Info
	// asking are the functions of the package that come to such a call.
	asking map[*types.Func]bool
}

// leaves reports whether a statement ends the function, and the loop with it.
func leaves(n ast.Node) bool {
	_, ok := n.(*ast.ReturnStmt)
	return ok
}

// first returns the first call in the nodes that asks, or nil. It does not look
// into what skip is true for, except in function literals: their returns leave no loop.
func (q querySearch) first(skip func(ast.Node) bool, nodes ...ast.Node) (found *ast.CallExpr) {
	for _, n := range nodes {
		ast.Inspect(n, func(n ast.Node) bool {
			if literal, ok := n.(*ast.FuncLit); ok && found == nil {
				found = q.first(nil, literal.Body)
				return false
			}
			if n != nil && skip != nil && skip(n) {
				return false
			}
			if call, ok := n.(*ast.CallExpr); ok && found == nil && q.asks(call) {
				found = call
			}
			return found == nil
		})
	}
	return found
}

func (q querySearch) asks(call *ast.CallExpr) bool {
	fn, ok := typeutil.Callee(q.info, call).(*types.Func)
	if !ok || fn.Pkg() == nil {
		return false
	}
	fn = fn.Origin()
	if q.asking[fn] {
		return true
	}
	if !strings.HasPrefix(fn.Pkg().Path(), module) {
		return q.libraryAsks(call, fn)
	}
	if isClient(receiver(fn)) {
		return fn.Name() != "Close" && (takesContext(fn) || mayFail(fn))
	}
	return takesContext(fn) && (isHolder(receiver(fn)) || takesHolder(fn))
}

func takesContext(fn *types.Func) bool {
	for v := range fn.Signature().Params().Variables() {
		if isNamed(v.Type(), "context", "Context") {
			return true
		}
	}
	return false
}

func mayFail(fn *types.Func) bool {
	for v := range fn.Signature().Results().Variables() {
		if isError(v.Type()) {
			return true
		}
	}
	return false
}

func receiver(fn *types.Func) types.Type {
	if r := fn.Signature().Recv(); r != nil {
		return r.Type()
	}
	return nil
}

const storePackage, queuePackage = module + "internal/store", module + "internal/queue"

// isHolder reports whether t is the store, a transaction or what they run statements on.
func isHolder(t types.Type) bool {
	return isNamed(t, storePackage, "Store", "Tx", "Org", "conn", "Conn")
}

func isClient(t types.Type) bool { return isNamed(t, queuePackage, "Client") }

// takesHolder reports whether the first or second parameter, a context not
// counted, is the store or a transaction.
func takesHolder(fn *types.Func) bool {
	seen := 0
	for v := range fn.Signature().Params().Variables() {
		if isNamed(v.Type(), "context", "Context") {
			continue
		}
		if isHolder(v.Type()) {
			return true
		}
		if seen++; seen == 2 {
			return false
		}
	}
	return false
}

// libraries are the methods that ask, of the types that reach the database or Redis.
var libraries = []struct {
	pkg     string
	types   []string
	methods []string
}{
	{"gorm.io/gorm", []string{"DB"}, []string{
		"Count", "Create", "CreateInBatches", "Delete", "Exec", "Find", "FindInBatches", "First", "FirstOrCreate", "Last", "Pluck",
		"Row", "Rows", "Save", "Scan", "Take", "Transaction", "Update", "UpdateColumn", "UpdateColumns", "Updates",
	}},
	{"gorm.io/gorm", []string{"ConnPool"}, []string{"ExecContext", "PrepareContext", "QueryContext", "QueryRowContext"}},
	{"database/sql", []string{"DB", "Conn", "Tx", "Stmt"}, []string{
		"BeginTx", "Commit", "ExecContext", "PingContext", "PrepareContext", "QueryContext", "QueryRowContext",
	}},
	{"github.com/hibiken/asynq", []string{"Client"}, []string{"Enqueue", "EnqueueContext"}},
	{"github.com/hibiken/asynq", []string{"Inspector"}, nil}, // nil: every one
	{"github.com/redis/go-redis/v9", []string{"Pipeliner"}, []string{"Exec"}},
	{"github.com/redis/go-redis/v9", []string{"UniversalClient", "Client", "ClusterClient", "Cmdable", "Scripter"}, nil},
}

// collecting are methods of a Redis client that only begin something.
var collecting = []string{"Close", "Pipeline", "TxPipeline"}

// libraryAsks reports whether a call of a library's method asks. It looks at the
// type that the method is called on: a client and a pipeline share their methods.
func (q querySearch) libraryAsks(call *ast.CallExpr, fn *types.Func) bool {
	if slices.Contains(collecting, fn.Name()) {
		return false
	}
	on := receiver(fn)
	if sel, ok := ast.Unparen(call.Fun).(*ast.SelectorExpr); ok && on != nil {
		on = q.info.TypeOf(sel.X)
	}
	// A script runs on the client or the pipeline that it is given.
	if isNamed(on, "github.com/redis/go-redis/v9", "Script") && len(call.Args) > 1 {
		return !isNamed(q.info.TypeOf(call.Args[1]), "github.com/redis/go-redis/v9", "Pipeliner")
	}
	for _, l := range libraries {
		if isNamed(on, l.pkg, l.types...) && (l.methods == nil || slices.Contains(l.methods, fn.Name())) {
			return true
		}
	}
	return false
}

// isNamed reports whether t, or what it points to, is one of the named types of a package.
func isNamed(t types.Type, pkg string, names ...string) bool {
	if t == nil {
		return false
	}
	if p, ok := types.Unalias(t).(*types.Pointer); ok {
		t = p.Elem()
	}
	named, ok := types.Unalias(t).(*types.Named)
	if !ok || named.Obj().Pkg() == nil || named.Obj().Pkg().Path() != pkg {
		return false
	}
	return slices.Contains(names, named.Obj().Name())
}

var errorType = types.Universe.Lookup("error").Type()

func isError(t types.Type) bool { return t != nil && types.Identical(t, errorType) }
