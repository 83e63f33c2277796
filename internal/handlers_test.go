package internal_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path"
	"slices"
	"strings"
	"testing"
)

// dialects are the packages of handlers.
var dialects = []string{"internal/api/native", "internal/api/marketing", "internal/api/event", "internal/api/manage", "internal/console"}

// views are the parameters by which a function reaches tables.
var views = []string{"Org", "Store", "Tx", "Conn"}

// reaching returns the exported functions of the product that reach tables,
// because they take a view of the store, by package and name.
func reaching(t *testing.T, files []source) map[string]bool {
	t.Helper()
	out := map[string]bool{}
	for _, s := range files {
		if s.isTest() || !strings.HasPrefix(s.file, "internal/") {
			continue
		}
		for _, fn := range functions(t, s) {
			if fn.Recv == nil && fn.Name.IsExported() && slices.ContainsFunc(fn.Type.Params.List, takesView) {
				out[s.pkg()+"."+fn.Name.Name] = true
			}
		}
	}
	return out
}

func functions(t *testing.T, s source) (out []*ast.FuncDecl) {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), s.file, s.text, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range parsed.Decls {
		if fn, ok := d.(*ast.FuncDecl); ok {
			out = append(out, fn)
		}
	}
	return out
}

// takesView reports whether a parameter is *store.Org or the like.
func takesView(p *ast.Field) bool {
	kind := p.Type
	if pointer, ok := kind.(*ast.StarExpr); ok {
		kind = pointer.X
	}
	return slices.ContainsFunc(views, func(view string) bool { return isSelector(kind, "store", view) })
}

func isSelector(e ast.Expr, pkg, name string) bool {
	selector, ok := e.(*ast.SelectorExpr)
	if !ok || selector.Sel.Name != name {
		return false
	}
	of, ok := selector.X.(*ast.Ident)
	return ok && of.Name == pkg
}

// handlerFaults returns what is wrong with a file of handlers: it reaches tables
// past the services, it has a handler that is no method of Handlers, or one that
// is not named after what it does.
func handlerFaults(t *testing.T, s source, reaching map[string]bool) (out []string) {
	t.Helper()
	for _, fn := range functions(t, s) {
		name := fn.Name.Name
		if isHandler(fn) && !ofHandlers(fn) {
			out = append(out, fmt.Sprintf("%s: the handler %s is no method of *Handlers", s.file, name))
		}
		if isHandler(fn) && strings.HasPrefix(name, "show") {
			out = append(out, fmt.Sprintf("%s: the handler %s is not named by what it does: get, list, create …", s.file, name))
		}
		ast.Inspect(fn, func(n ast.Node) bool {
			selector, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if called := calledFrom(s, selector); reaching[called] {
				out = append(out, fmt.Sprintf("%s: %s uses %s; go through the service of its noun", s.file, name, called))
			}
			return true
		})
	}
	return out
}

// calledFrom returns the package and the name that a selector stands for, "" when
// it is no selector of an imported package of ours.
func calledFrom(s source, selector *ast.SelectorExpr) string {
	of, ok := selector.X.(*ast.Ident)
	if !ok {
		return ""
	}
	for _, imported := range s.imports {
		if below, ours := strings.CutPrefix(imported, module); ours && path.Base(below) == of.Name {
			return below + "." + selector.Sel.Name
		}
	}
	return ""
}

// isHandler reports whether fn has the shape of a handler: func(*api.Call) error.
func isHandler(fn *ast.FuncDecl) bool {
	params, results := fn.Type.Params.List, fn.Type.Results
	if len(params) != 1 || len(params[0].Names) > 1 || results == nil || len(results.List) != 1 {
		return false
	}
	pointer, ok := params[0].Type.(*ast.StarExpr)
	result, isIdent := results.List[0].Type.(*ast.Ident)
	return ok && isIdent && result.Name == "error" && isSelector(pointer.X, "api", "Call")
}

func ofHandlers(fn *ast.FuncDecl) bool {
	if fn.Recv == nil {
		return false
	}
	pointer, ok := fn.Recv.List[0].Type.(*ast.StarExpr)
	if !ok {
		return false
	}
	of, ok := pointer.X.(*ast.Ident)
	return ok && of.Name == "Handlers"
}

func TestEveryHandlerGoesThroughTheServiceOfItsNoun(t *testing.T) {
	t.Parallel()
	files := sources(t)
	tables := reaching(t, files)
	for _, known := range []string{"internal/tenant.Get", "internal/credit.Lock", "internal/intake.Retry"} {
		if !tables[known] {
			t.Errorf("%s does not count as reaching tables", known)
		}
	}
	read := map[string]bool{}
	for _, s := range files {
		if s.isTest() || !slices.Contains(dialects, s.pkg()) {
			continue
		}
		read[s.pkg()] = true
		for _, fault := range handlerFaults(t, s, tables) {
			t.Error(fault)
		}
	}
	if len(read) != len(dialects) {
		t.Errorf("read %v, want %v", read, dialects)
	}
}

// TestListsAreAnsweredByTheEdge checks that no dialect writes a page with a cursor of
// its own: api.AnswerList bounds pages in bytes. The platforms are all on one page,
// and are the program's own.
func TestListsAreAnsweredByTheEdge(t *testing.T) {
	t.Parallel()
	var own []string
	for _, s := range sources(t) {
		if !s.isTest() && slices.Contains(dialects, s.pkg()) && strings.Contains(s.text, `json:"nextCursor`) {
			own = append(own, s.file)
		}
	}
	if !slices.Equal(own, []string{"internal/api/manage/connection.go"}) {
		t.Errorf("pages are written in %v", own)
	}
}

func TestHandlerFaultsFindsEveryBreach(t *testing.T) {
	t.Parallel()
	const file = "internal/api/manage/key.go"
	tables := map[string]bool{"internal/tenant.GetKey": true}
	for name, c := range map[string]struct{ text, want string }{
		"a method that calls the service": {"func (h *Handlers) getKey(c *api.Call) error { return h.Management.GetKey(c) }", ""},
		"a type of the package":           {"func newKeyBody(k tenant.Key) keyBody { return keyBody{} }", ""},
		"a call past the service":         {"func (h *Handlers) getKey(c *api.Call) error { return tenant.GetKey(c) }", file + ": getKey uses internal/tenant.GetKey; go through the service of its noun"},
		"a function past the service":     {"func load() { page(tenant.GetKey) }", file + ": load uses internal/tenant.GetKey; go through the service of its noun"},
		"a free handler":                  {"func getKey(c *api.Call) error { return nil }", file + ": the handler getKey is no method of *Handlers"},
		"a handler of another type":       {"func (o Options) getKey(c *api.Call) error { return nil }", file + ": the handler getKey is no method of *Handlers"},
		"a handler that shows":            {"func (h *Handlers) showKey(c *api.Call) error { return nil }", file + ": the handler showKey is not named by what it does: get, list, create …"},
		"a helper with more parameters":   {"func created(c *api.Call, path string) error { return nil }", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := source{file: file, text: "package manage\n\n" + c.text + "\n", imports: []string{"fmt", module + "internal/tenant"}}
			if got := strings.Join(handlerFaults(t, s, tables), "; "); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}
