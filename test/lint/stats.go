package main

import (
	"cmp"
	"errors"
	"fmt"
	"go/ast"
	"go/constant"
	"go/types"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"golang.org/x/tools/go/packages"
	"golang.org/x/tools/go/types/typeutil"
)

// tally counts the returned errors of one package.
type tally struct {
	// said say what was being done: fmt.Errorf with %w, or a *usersync.Error made
	// there.
	said int
	// bare are variables as they came from the call before.
	bare int
	// passed are what another call returned, whose matter it is.
	passed int
}

func (t tally) add(o tally) tally {
	return tally{t.said + o.said, t.bare + o.bare, t.passed + o.passed}
}

// share is how many of those that were an error's variable, or could have been, say
// what was being done.
func (t tally) share() float64 { return 100 * float64(t.said) / float64(max(t.said+t.bare, 1)) }

// printStats prints how many errors that are returned say what was being done.
// That is a number to watch and no rule: where the caller knows as much, a bare
// error is right.
func printStats(w io.Writer, patterns []string) error {
	loaded, err := packages.Load(&packages.Config{
		Mode: packages.NeedName | packages.NeedFiles | packages.NeedSyntax | packages.NeedTypes | packages.NeedTypesInfo | packages.NeedImports,
	}, patterns...)
	if err != nil {
		return fmt.Errorf("load the packages: %w", err)
	}
	byPackage, all := map[string]tally{}, tally{}
	for _, pkg := range loaded {
		if len(pkg.Errors) > 0 {
			return fmt.Errorf("load %s: %w", pkg.PkgPath, pkg.Errors[0])
		}
		if t := tallyOf(pkg); isProduct(pkg.PkgPath) && t != (tally{}) {
			byPackage[pkg.PkgPath], all = t, all.add(t)
		}
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "say what was done\tbare\tpassed on\tshare\t\t")
	names := make([]string, 0, len(byPackage))
	for name := range byPackage {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(cmp.Compare(byPackage[b].bare, byPackage[a].bare), strings.Compare(a, b))
	})
	for _, name := range names {
		printTally(table, byPackage[name], strings.TrimPrefix(name, module))
	}
	printTally(table, all, "all")
	return errors.Join(table.Flush())
}

func printTally(w io.Writer, t tally, name string) {
	fmt.Fprintf(w, "%d\t%d\t%d\t%.0f %%\t %s\t\n", t.said, t.bare, t.passed, t.share(), name)
}

func tallyOf(pkg *packages.Package) (t tally) {
	for _, file := range pkg.Syntax {
		ast.Inspect(file, func(n ast.Node) bool {
			ret, ok := n.(*ast.ReturnStmt)
			if ok && len(ret.Results) > 0 {
				t = t.add(judge(pkg.TypesInfo, ret.Results[len(ret.Results)-1]))
			}
			return true
		})
	}
	return t
}

// judge says how the last result of a return counts; not at all when it is no
// error, nil, or one of the package's own errors.
func judge(info *types.Info, result ast.Expr) (t tally) {
	switch e := ast.Unparen(result).(type) {
	case *ast.Ident:
		v, ok := info.Uses[e].(*types.Var)
		if ok && isError(v.Type()) && v.Parent() != v.Pkg().Scope() {
			t.bare = 1
		}
	case *ast.CallExpr:
		if !lastIsError(info.TypeOf(e)) {
			return t
		}
		if says(info, e) {
			t.said = 1
		} else if !makesError(info, e) {
			t.passed = 1
		}
	}
	return t
}

// lastIsError reports whether the last value of a call is an error.
func lastIsError(t types.Type) bool {
	if tuple, ok := t.(*types.Tuple); ok {
		return tuple.Len() > 0 && isError(tuple.At(tuple.Len()-1).Type())
	}
	return isAnError(t)
}

// says reports whether a call makes an error that says what was being done.
func says(info *types.Info, call *ast.CallExpr) bool {
	fn, ok := typeutil.Callee(info, call).(*types.Func)
	if !ok || fn.Pkg() == nil {
		return false
	}
	switch {
	case fn.Pkg().Path() == "fmt" && fn.Name() == "Errorf":
		format := info.Types[call.Args[0]].Value
		return format != nil && strings.Contains(constant.StringVal(format), "%w")
	case fn.Pkg().Path() == module+"internal/usersync":
		return fn.Name() == "Errorf" || fn.Name() == "Because"
	}
	return false
}

// makesError reports whether a call makes an error out of nothing.
func makesError(info *types.Info, call *ast.CallExpr) bool {
	fn, ok := typeutil.Callee(info, call).(*types.Func)
	if !ok || fn.Pkg() == nil {
		return false
	}
	return fn.Pkg().Path() == "errors" && fn.Name() == "New" || fn.Pkg().Path() == "fmt" && fn.Name() == "Errorf"
}
