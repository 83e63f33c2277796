package internal_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "usersync/"

// layers, lowest first. A package imports only packages of lower layers. "x/*"
// stands for the directories in x, "x/..." for all beneath it.
var layers = [][]string{
	{"internal/usersync"},
	{
		"internal/config", "internal/seal", "internal/webhooksig", "internal/telemetry",
		"internal/fairness", "internal/foreign", "internal/identity", "internal/mask", "internal/identity/generate", "internal/template", "internal/importfile",
		"internal/store/migration", "internal/api/openapi", "internal/api/apidocs", "internal/queue/embedded", "test/services",
	},
	{"internal/store", "internal/queue", "internal/outbound", "internal/followup", "internal/password", "internal/scim"},
	{"internal/store/storetest", "internal/mail", "internal/doctest", "internal/outbound/hostile"},
	{"internal/mail/mailtest"},
	{"internal/connector"},
	{"internal/connector/ability", "internal/connector/webhook", "internal/connector/published", "internal/connector/form", "internal/connector/casetable"},
	{"internal/connector/fakeplatform"},
	{"internal/connector/connectortest"},
	{"internal/connector/*"},      // each platform
	{"internal/connector/..."},    // and its fake
	{"internal/connectors"},       // THE LIST
	{"internal/connectors/fakes"}, // and that of their fakes
	// Packages that own tables: the SQL and the rules of one noun each.
	{"internal/audit", "internal/event", "internal/idempotency", "internal/receipt"},
	{"internal/outbox", "internal/tenant", "internal/user", "internal/consent"},
	{"internal/record", "internal/issuer"},
	{"internal/login", "internal/provider"},
	{"internal/provider/fakeprovider"},
	{"internal/provider/providertest"},
	{"internal/provider/*"},   // each provider
	{"internal/provider/..."}, // and its fake
	{"internal/providers"},    // THE LIST
	{"internal/access"},
	{"internal/credit", "internal/colleague", "internal/followup/catalog"},
	{"internal/colleague/hunter"},
	{"internal/colleague/hunter/huntertest"},
	{"internal/delivery", "internal/reaction", "internal/invitation"},
	{"internal/request"},
	{"internal/bulk", "internal/retention", "internal/verify"},
	{"internal/platform"},
	{"internal/pusher", "internal/readdress", "internal/erasure", "internal/rewrap", "internal/inbound", "internal/destination"},
	{"internal/export"},
	{"internal/doctor", "internal/pipeline", "internal/worker"},
	{"internal/intake", "internal/directory"},
	{"internal/action", "internal/lookup", "internal/provision"},
	{"internal/registration"},
	{"internal/roomtest"},
	{"internal/management", "internal/management/followups", "internal/management/fields", "internal/management/pulse", "internal/relay"},
	{"internal/api"},
	{"internal/api/apitest"},
	{"internal/console/session", "internal/console/static", "internal/console/live", "internal/console/ui", "internal/console/failures", "internal/console/fieldform"},
	{"internal/console/followupform"},
	{"internal/api/native", "internal/api/marketing", "internal/api/event", "internal/api/directory", "internal/api/scim", "internal/api/manage", "internal/console", "internal/demo"},
	{"internal/app"},
	{"internal/app/apptest"},
	{"test/system"},
	{"internal/commands/profile"},
	{"internal/commands"},
	{"cmd/*", "test/...", "examples/*"},
}

// owner says who may import a library and what is beneath it.
type owner struct {
	library  string
	packages []string
}

// owners lists every third-party library that code outside of tests imports.
// test/load may measure against bare Echo and bare Asynq.
var owners = []owner{
	{"gorm.io", []string{"internal/store"}},
	{"modernc.org/sqlite", []string{"internal/store"}},
	{"github.com/jackc/pgx/v5", []string{"internal/store", "internal/store/migration", "internal/store/storetest", "internal/roomtest"}},
	{"github.com/pressly/goose/v3", []string{"internal/store", "internal/store/migration"}},
	{"github.com/hibiken/asynq", []string{"internal/queue", "test/load"}},
	{"github.com/redis/go-redis/v9", []string{"internal/queue", "test/load"}},
	{"github.com/sony/gobreaker/v2", []string{"internal/connector", "internal/provider"}},
	{"github.com/alicebob/miniredis/v2", []string{"internal/queue/embedded"}},
	{"github.com/labstack/echo/v4", []string{"internal/api", "internal/api/*", "test/load"}},
	{"github.com/go-json-experiment/json", []string{"internal/api"}},
	{"github.com/hashicorp/golang-lru/v2", []string{"internal/api", "internal/connector/copernica", "internal/console/session", "internal/delivery", "internal/destination", "internal/followup/catalog", "internal/providers", "internal/reaction"}},
	{"golang.org/x/sync/singleflight", []string{"internal/api", "internal/providers"}},
	{"golang.org/x/sync/errgroup", []string{
		"internal/queue", "internal/connector", "internal/connector/connectortest", "internal/colleague", "internal/colleague/hunter", "internal/delivery", "internal/pipeline",
		"internal/pusher", "cmd/usersync", "test/platforms",
	}},
	{"github.com/golang-jwt/jwt/v5", []string{"internal/api/event", "internal/issuer", "internal/demo", "test/load"}},
	{"golang.org/x/crypto/argon2", []string{"internal/password"}},
	{"github.com/elimity-com/scim/schema", []string{"internal/scim"}},
	{"github.com/scim2/filter-parser/v2", []string{"internal/scim"}},
	{"golang.org/x/term", []string{"internal/commands"}},
	{"golang.org/x/time/rate", []string{"internal/api", "internal/api/*", "internal/console/session"}},
	{"github.com/a-h/templ", []string{"internal/console", "internal/console/live", "internal/console/ui"}},
	{"github.com/alexedwards/scs/v2", []string{"internal/console", "internal/console/session"}},
	{"github.com/prometheus/client_golang", []string{"internal/telemetry"}},
	{"github.com/caarlos0/env/v11", []string{"internal/config"}},
	{"go.yaml.in/yaml/v3", []string{"internal/commands", "internal/commands/profile", "internal/management/followups"}},
	{"golang.org/x/net/publicsuffix", []string{"internal/identity", "internal/identity/generate"}},
	{"golang.org/x/net/idna", []string{"internal/identity"}},
	{"golang.org/x/net/http2", []string{"internal/outbound/hostile"}},
	{"golang.org/x/text", []string{"internal/identity", "internal/importfile"}},
	{"github.com/biter777/countries", []string{"internal/identity"}},
	{"github.com/nyaruka/phonenumbers", []string{"internal/identity"}},
	{"code.dny.dev/ssrf", []string{"internal/outbound"}},
	{"github.com/wneessen/go-mail", []string{"internal/mail"}},
	{"github.com/emersion", []string{"internal/mail/mailtest"}},
	{"github.com/spf13/cobra", []string{"cmd/usersync", "internal/commands"}},
	{"github.com/standard-webhooks/standard-webhooks/libraries", []string{"examples/*"}},
	{"github.com/schollz/progressbar/v3", []string{"cmd/usersync"}},
	{"go.uber.org/goleak", []string{"internal/api/apitest"}},
	{"github.com/getkin/kin-openapi", []string{"internal/app/apptest", "internal/connector/published"}},
	{"github.com/santhosh-tekuri/jsonschema/v6", []string{"internal/app/apptest"}},
	{"golang.org/x/tools", []string{"test/lint"}},
}

// callers may call servers by net/http: outbound, which guards every call to
// the outside, the demo, the command line, which calls the services that a
// person names, and what only tests use.
var callers = []string{"internal/outbound", "internal/demo", "cmd/usersync", "internal/commands", "internal/api/apitest", "internal/app/apptest", "test/..."}

// unguarded finds the ways of net/http past the guard of outbound.
var unguarded = regexp.MustCompile(`\bhttp\.(DefaultClient\b|DefaultTransport\b|Client\{|Transport\{|(Get|Head|Post|PostForm)\()`)

// source is one Go file.
type source struct {
	file    string // from the root of the module
	imports []string
	text    string
	// external says that it is of a test package beside the one that it tests.
	external bool
}

func (s source) pkg() string  { return path.Dir(s.file) }
func (s source) isTest() bool { return strings.HasSuffix(s.file, "_test.go") }

// matches reports whether one of the patterns stands for pkg.
func matches(patterns []string, pkg string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		if dir, ok := strings.CutSuffix(p, "/*"); ok {
			return path.Dir(pkg) == dir
		}
		if dir, ok := strings.CutSuffix(p, "..."); ok {
			return strings.HasPrefix(pkg, dir)
		}
		return p == pkg
	})
}

// layerOf returns the layer of pkg, the lowest that names it, or -1.
func layerOf(pkg string) int {
	return slices.IndexFunc(layers, func(layer []string) bool { return matches(layer, pkg) })
}

// faults returns what is wrong with a file.
func faults(s source) []string {
	if layerOf(s.pkg()) < 0 && !s.isTest() {
		return []string{s.pkg() + " is in no layer"}
	}
	var out []string
	for _, imported := range s.imports {
		if fault := importFault(s, imported); fault != "" {
			out = append(out, fault)
		}
	}
	if s.isTest() || matches(callers, s.pkg()) {
		return out
	}
	if found := unguarded.FindString(s.text); found != "" {
		out = append(out, fmt.Sprintf("%s mentions %s: only internal/outbound calls the outside", s.file, found))
	}
	return out
}

func importFault(s source, imported string) string {
	below, ours := strings.CutPrefix(imported, module)
	switch {
	case s.isTest() && ours:
		return directionOfTest(s, below)
	case s.isTest(), !ours && !isLibrary(imported):
		return ""
	case s.pkg() == "internal/usersync":
		return fmt.Sprintf("%s imports %s: the vocabulary imports the standard library only", s.file, imported)
	case ours:
		return direction(s, below)
	}
	return ownership(s, imported)
}

// isLibrary reports whether a package is a third party's: its path begins with
// a host, other than those of the standard library and our own.
func isLibrary(imported string) bool {
	host, _, _ := strings.Cut(imported, "/")
	return strings.Contains(host, ".")
}

func direction(s source, below string) string {
	if from, to := layerOf(s.pkg()), layerOf(below); to >= 0 && to < from {
		return ""
	}
	return fmt.Sprintf("%s imports %s, which is not below it", s.file, below)
}

// directionOfTest lets a test, besides, import its own package, the test helpers
// beneath it and, where it stands outside of the package, roomtest with what that needs.
func directionOfTest(s source, below string) string {
	// What a package that owns tables does shows on requests that were accepted.
	if s.external && layerOf(below) >= 0 && layerOf(below) <= layerOf("internal/roomtest") {
		return ""
	}
	if below == s.pkg() || strings.HasPrefix(below, s.pkg()+"/") {
		return ""
	}
	return direction(s, below)
}

func ownership(s source, library string) string {
	for _, o := range owners {
		if library != o.library && !strings.HasPrefix(library, o.library+"/") {
			continue
		}
		if matches(o.packages, s.pkg()) {
			return ""
		}
		return fmt.Sprintf("%s imports %s: only %s may", s.file, library, strings.Join(o.packages, ", "))
	}
	return fmt.Sprintf("%s imports %s, which has no owner", s.file, library)
}

func TestEveryImportPointsDown(t *testing.T) {
	t.Parallel()
	read := map[string]bool{}
	for _, s := range sources(t) {
		read[s.pkg()] = true
		for _, fault := range faults(s) {
			t.Error(fault)
		}
	}
	for _, pkg := range []string{"internal/usersync", "internal/app", "cmd/api", "test/services"} {
		if !read[pkg] {
			t.Errorf("%s was not read", pkg)
		}
	}
}

func TestEveryLibraryIsExplained(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/dependencies.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range sources(t) {
		for _, imported := range s.imports {
			if isLibrary(imported) && !explains(string(page), imported) {
				t.Errorf("%s imports %s, which docs/dependencies.md does not explain", s.file, imported)
			}
		}
	}
	if explains(string(page), "example.com/lib") {
		t.Error("a library that is not on the page counts as explained")
	}
}

// explains reports whether the page names the module of a package.
func explains(page, imported string) bool {
	for ; imported != "."; imported = path.Dir(imported) {
		if strings.Contains(page, "| `"+imported+"` |") {
			return true
		}
	}
	return false
}

func TestTheArchitectureNamesEveryPackage(t *testing.T) {
	t.Parallel()
	section := ofArchitecture(t, "Packages, lowest first")
	for _, pkg := range slices.Concat(layers...) {
		if strings.HasSuffix(pkg, "*") || strings.HasSuffix(pkg, "...") {
			continue
		}
		if name := strings.TrimPrefix(pkg, "internal/"); !strings.Contains(section, "`"+name+"`") {
			t.Errorf("the packages of docs/architecture.md lack %s", name)
		}
	}
}

// size is how large a package is, without its tests.
type size struct{ lines, exported int }

// largest is how large a package may be: what a newcomer can read in an afternoon,
// and can keep in mind.
var largest = size{lines: 3000, exported: 120}

// oversized are the packages that are larger, with the size that they may not exceed.
var oversized = map[string]size{}

func TestNoPackageIsTooLargeToRead(t *testing.T) {
	t.Parallel()
	known := maps.Clone(oversized)
	for pkg, has := range sizes(t, sources(t)) {
		limit := largest
		if exception, ok := known[pkg]; ok {
			limit = exception
			delete(known, pkg)
			if has.lines <= largest.lines && has.exported <= largest.exported {
				t.Errorf("%s is oversized no longer: %+v", pkg, has)
			}
		}
		if has.lines > limit.lines || has.exported > limit.exported {
			t.Errorf("%s has %d lines and exports %d names; %d and %d are allowed", pkg, has.lines, has.exported, limit.lines, limit.exported)
		}
	}
	for pkg := range known {
		t.Errorf("%s is oversized and does not exist", pkg)
	}
}

// sizes returns how large each package below internal/ and cmd/ is.
func sizes(t *testing.T, files []source) map[string]size {
	t.Helper()
	out := map[string]size{}
	for _, s := range files {
		if s.isTest() || strings.HasPrefix(s.file, "test/") || strings.HasSuffix(s.file, "_templ.go") {
			continue // what templ makes of a template is read there
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), s.file, s.text, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		has := out[s.pkg()]
		has.lines += strings.Count(s.text, "\n")
		for _, d := range parsed.Decls {
			has.exported += exportedBy(d)
		}
		out[s.pkg()] = has
	}
	return out
}

// exportedBy counts the types, functions, methods, variables and constants that a
// declaration exports. Nobody outside of the package sees the methods of a type that it
// keeps to itself.
func exportedBy(d ast.Decl) (n int) {
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Name.IsExported() && (d.Recv == nil || ofExported(d.Recv.List[0].Type)) {
			n++
		}
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			for _, name := range namesOf(spec) {
				if name.IsExported() {
					n++
				}
			}
		}
	}
	return n
}

func ofExported(receiver ast.Expr) bool {
	switch t := receiver.(type) {
	case *ast.StarExpr:
		return ofExported(t.X)
	case *ast.IndexExpr:
		return ofExported(t.X)
	case *ast.Ident:
		return t.IsExported()
	}
	return true
}

func namesOf(spec ast.Spec) []*ast.Ident {
	switch spec := spec.(type) {
	case *ast.TypeSpec:
		return []*ast.Ident{spec.Name}
	case *ast.ValueSpec:
		return spec.Names
	}
	return nil
}

func TestSizesCountsWhatAPackageExports(t *testing.T) {
	t.Parallel()
	got := sizes(t, []source{
		{file: "internal/a/a.go", text: "package a\n\ntype (\n\tT struct{ F int }\n\tu int\n)\n\nconst A, B, c = 1, 2, 3\n\nvar V int\n"},
		{file: "internal/a/b.go", text: "package a\n\nfunc F() {}\n\nfunc (T) M() {}\n\nfunc (u) M() {}\n\nfunc f() {}\n"},
		{file: "internal/a/a_test.go", text: "package a\n\nfunc TestF() {}\n"},
		{file: "test/load/main.go", text: "package main\n\nfunc F() {}\n"},
	})
	if want := (map[string]size{"internal/a": {lines: 19, exported: 6}}); !maps.Equal(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// sources reads the Go files of the module.
func sources(t *testing.T) []source {
	t.Helper()
	root := os.DirFS("..")
	var out []source
	for _, dir := range []string{"internal", "cmd", "test"} {
		err := fs.WalkDir(root, dir, func(file string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() && d.Name() == "testdata" {
				return fs.SkipDir
			}
			if err != nil || path.Ext(file) != ".go" {
				return err
			}
			s, err := parse(root, file)
			out = append(out, s)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return out
}

func parse(root fs.FS, file string) (source, error) {
	text, err := fs.ReadFile(root, file)
	if err != nil {
		return source{}, err
	}
	parsed, err := parser.ParseFile(token.NewFileSet(), file, text, parser.ImportsOnly)
	if err != nil {
		return source{}, err
	}
	s := source{file: file, text: string(text), external: strings.HasSuffix(parsed.Name.Name, "_test")}
	for _, spec := range parsed.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return source{}, err
		}
		s.imports = append(s.imports, imported)
	}
	return s, nil
}

func TestFaultsFindsEveryBreach(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, file, imported, text string
		want                       string // "" when the file is in order
	}{
		{name: "a known package", file: "internal/store/user.go", imported: "usersync/internal/usersync"},
		{name: "a package in no layer", file: "internal/util/util.go", want: "internal/util is in no layer"},
		{name: "a package beneath one that is in a layer", file: "internal/store/cache/cache.go", want: "internal/store/cache is in no layer"},
		{name: "a command in its directory", file: "cmd/tool/main.go", imported: "usersync/internal/app"},
		{name: "a command's package", file: "cmd/tool/part/part.go", want: "cmd/tool/part is in no layer"},
		{name: "upwards", file: "internal/store/user.go", imported: "usersync/internal/pipeline", want: "internal/store/user.go imports internal/pipeline, which is not below it"},
		{name: "sideways", file: "internal/store/user.go", imported: "usersync/internal/queue", want: "internal/store/user.go imports internal/queue, which is not below it"},
		{name: "to a package in no layer", file: "internal/store/user.go", imported: "usersync/internal/util", want: "internal/store/user.go imports internal/util, which is not below it"},
		{name: "a test upwards", file: "internal/store/user_test.go", imported: "usersync/internal/app/apptest", want: "internal/store/user_test.go imports internal/app/apptest, which is not below it"},
		{name: "a test of its own package", file: "internal/store/user_test.go", imported: "usersync/internal/store"},
		{name: "a test with its own helpers", file: "internal/store/user_test.go", imported: "usersync/internal/store/storetest"},
		{name: "a package with its tests' helpers", file: "internal/store/user.go", imported: "usersync/internal/store/storetest", want: "internal/store/user.go imports internal/store/storetest, which is not below it"},
		{name: "a library in its owner", file: "internal/store/user.go", imported: "gorm.io/gorm/clause"},
		{name: "a library outside its owner", file: "internal/management/key.go", imported: "gorm.io/gorm", want: "internal/management/key.go imports gorm.io/gorm: only internal/store may"},
		{name: "a library in its owner's part", file: "internal/api/native/sync.go", imported: "github.com/labstack/echo/v4"},
		{name: "a library whose name begins like an owned one", file: "internal/store/user.go", imported: "gorm.iox/gorm", want: "internal/store/user.go imports gorm.iox/gorm, which has no owner"},
		{name: "a library without an owner", file: "internal/management/key.go", imported: "example.com/lib", want: "internal/management/key.go imports example.com/lib, which has no owner"},
		{name: "a test with any library", file: "internal/management/key_test.go", imported: "example.com/lib"},
		{name: "the vocabulary with the standard library", file: "internal/usersync/id.go", imported: "crypto/sha256"},
		{name: "the vocabulary with a library", file: "internal/usersync/id.go", imported: "golang.org/x/text/width", want: "internal/usersync/id.go imports golang.org/x/text/width: the vocabulary imports the standard library only"},
		{name: "the vocabulary with another package", file: "internal/usersync/id.go", imported: "usersync/internal/seal", want: "internal/usersync/id.go imports usersync/internal/seal: the vocabulary imports the standard library only"},
		{name: "the default client", file: "internal/delivery/deliver.go", text: "http.DefaultClient.Do(r)", want: "internal/delivery/deliver.go mentions http.DefaultClient: only internal/outbound calls the outside"},
		{name: "a client of its own", file: "internal/delivery/deliver.go", text: "c := &http.Client{Timeout: 1}", want: "internal/delivery/deliver.go mentions http.Client{: only internal/outbound calls the outside"},
		{name: "the default client in short", file: "internal/delivery/deliver.go", text: "http.Get(url)", want: "internal/delivery/deliver.go mentions http.Get(: only internal/outbound calls the outside"},
		{name: "a header is no client", file: "internal/delivery/deliver.go", text: "http.Header{}; http.MethodGet; h.Get(x)"},
		{name: "the guard's own transport", file: "internal/outbound/client.go", text: "return &http.Transport{}"},
		{name: "a test's client", file: "internal/api/api_test.go", text: "http.Get(url)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := source{file: c.file, text: c.text}
			if c.imported != "" {
				s.imports = []string{c.imported}
			}
			if got := strings.Join(faults(s), "; "); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}
