package internal_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// hop is a row of the tables in "The way of one request".
type hop struct {
	file, function string // function is a function's name, or Type.Method
	side           bool   // of the side line
}

var hopRow = regexp.MustCompile("^\\| ([0-9]+|[a-z]) \\| `([^`]+\\.go)` `([^`]+)` \\|")

// readHops returns the rows of the section and the lines that look like one and
// cannot be read.
func readHops(section string) (hops []hop, unread []string) {
	for line := range strings.Lines(section) {
		if m := hopRow.FindStringSubmatch(line); m != nil {
			hops = append(hops, hop{file: m[2], function: m[3], side: m[1] >= "a"})
		} else if strings.HasPrefix(line, "| ") && strings.Contains(line, ".go`") {
			unread = append(unread, line)
		}
	}
	return hops, unread
}

// functionNames returns the functions and methods of a Go file, as F or Type.M.
func functionNames(file string, text []byte) ([]string, error) {
	parsed, err := parser.ParseFile(token.NewFileSet(), file, text, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, d := range parsed.Decls {
		if f, ok := d.(*ast.FuncDecl); ok {
			names = append(names, receiverName(f)+f.Name.Name)
		}
	}
	return names, nil
}

func receiverName(f *ast.FuncDecl) string {
	if f.Recv == nil {
		return ""
	}
	t := f.Recv.List[0].Type
	if pointer, ok := t.(*ast.StarExpr); ok {
		t = pointer.X
	}
	if generic, ok := t.(*ast.IndexExpr); ok {
		t = generic.X
	}
	return fmt.Sprint(t) + "."
}

// ofArchitecture returns a section of docs/architecture.md.
func ofArchitecture(t *testing.T, heading string) string {
	t.Helper()
	page, err := os.ReadFile("../docs/architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(page), "\n## "+heading+"\n")
	section, _, ended := strings.Cut(section, "\n## ")
	if !found || !ended {
		t.Fatalf("docs/architecture.md has no section %q", heading)
	}
	return section
}

func TestEveryHopOfARequestExists(t *testing.T) {
	t.Parallel()
	hops, unread := readHops(ofArchitecture(t, "The way of one request"))
	for _, line := range unread {
		t.Errorf("not a row of number, file and function: %s", line)
	}
	if len(hops) < 20 {
		t.Fatalf("only %d rows were found", len(hops))
	}
	for _, h := range hops {
		text, err := os.ReadFile(filepath.Join("..", h.file))
		if err != nil {
			t.Error(err)
			continue
		}
		names, err := functionNames(h.file, text)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Contains(names, h.function) {
			t.Errorf("%s has no function %s", h.file, h.function)
		}
	}
}

func TestPageCountsThePackagesThatARequestEnters(t *testing.T) {
	t.Parallel()
	section := ofArchitecture(t, "The way of one request")
	hops, _ := readHops(section)
	entered := map[string]bool{}
	for _, h := range hops {
		if !h.side {
			entered[path.Dir(h.file)] = true
		}
	}
	if want := fmt.Sprintf("The request enters %d packages", len(entered)); !strings.Contains(section, want) {
		t.Errorf("the page does not say %q", want)
	}
}

func TestFunctionNamesFindsFunctionsAndMethods(t *testing.T) {
	t.Parallel()
	got, err := functionNames("a.go", []byte("package a\n\ntype T struct{}\n\nfunc F() {}\n\nfunc (T) M() {}\n\nfunc (t *T) N() {}\n\nfunc (k K[A]) O() {}\n"))
	if want := []string{"F", "T.M", "T.N", "K.O"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, %v; want %v", got, err, want)
	}
}

// goPath finds dir/file.go in a page. One that begins with * or … stands for many.
var goPath = regexp.MustCompile(`[A-Za-z0-9_./*…-]*/[A-Za-z0-9_*…-]+\.go\b`)

// roots are the folders that pages write paths from.
var roots = []string{"..", "../internal", "../internal/connector", "../internal/connector/*"}

// isThere reports whether a path in a page names a file.
func isThere(name string) bool {
	return slices.ContainsFunc(roots, func(root string) bool {
		found, err := filepath.Glob(filepath.Join(root, name))
		return err == nil && len(found) > 0
	})
}

func TestEveryGoFileThatAPageNamesExists(t *testing.T) {
	t.Parallel()
	var read int
	for _, pattern := range []string{"../docs/*.md", "../docs/adr/*.md", "../README.md", "../CONTRIBUTING.md"} {
		pages, err := filepath.Glob(pattern)
		if err != nil || len(pages) == 0 {
			t.Fatalf("no pages %s: %v", pattern, err)
		}
		for _, page := range pages {
			text, err := os.ReadFile(page)
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range goPath.FindAllString(string(text), -1) {
				read++
				if !isThere(strings.TrimLeft(name, "./")) {
					t.Errorf("%s names %s, which does not exist", strings.TrimPrefix(page, "../"), name)
				}
			}
		}
	}
	if read < 30 {
		t.Errorf("only %d paths were found", read)
	}
	if isThere("store/nothing.go") {
		t.Error("a file that is not there counts as there")
	}
}
