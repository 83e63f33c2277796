package internal_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"usersync/internal/request"
	"usersync/internal/store/migration"
)

// vocabulary is where the words of a column come from.
type vocabulary struct {
	// block is a constant, as folder.Name: the words are those of all constants that are
	// declared together with it.
	block string
	// unstored are words of the block that no row has, more are words beside it.
	unstored, more []string
}

// vocabularies says it for each column that holds one word of a few.
var vocabularies = map[string]vocabulary{
	"organizations.status":      {block: "tenant.Active"},
	"ledger.kind":               {block: "credit.EntryTopUp"},
	"erasures.status":           {block: "receipt.Running"},
	"colleagues.status":         {block: "colleague.Pending"},
	"imports.status":            {block: "directory.ImportReceiving"},
	"imports.format":            {block: "importfile.CSV"},
	"requests.kind":             {block: "request.KindUserSync"},
	"requests.status":           {block: "request.Queued"},
	"steps.name":                {block: "request.StepColleagues"},
	"steps.status":              {block: "request.StepPending"},
	"outbox.state":              {block: "outbox.stateReady"},
	"webhook_endpoints.status":  {block: "delivery.EndpointEnabled"},
	"webhook_endpoints.signing": {block: "delivery.SigningSymmetric"},
	"follow_ups.status":         {block: "followup/catalog.Active"},
	"follow_up_runs.status":     {block: "reaction.Running"},
	"deliveries.status":         {block: "delivery.Pending"},
	"connections.status":        {block: "platform.ConnectionActive"},
	"pushes.status":             {block: "platform.PushIdle", unstored: []string{"rest"}},
	"push_waits.mode":           {block: "usersync.PushState"},
	"login_codes.purpose":       {block: "login.ForVerification"},
	"consents.channel":          {block: "usersync.ChannelEmail"},
	"consents.status":           {block: "usersync.Subscribed"},
	"signals.channel":           {block: "usersync.ChannelEmail"},
	"signals.status":            {block: "usersync.Subscribed", unstored: []string{"unknown"}},
	// What became of a user, and the mark of a retry.
	"bulk_errors.status": {more: []string{string(request.StepFailed), string(request.StepSkipped), "again"}},
}

// open are the columns of such a name that take any word.
var open = map[string]string{
	"outbox.kind": "the names of tasks: each release may bring more, and those of the next are left alone",
}

var (
	tableText = regexp.MustCompile(`(?ms)^CREATE TABLE (\w+) \((.*?)^\);`)
	wordy     = regexp.MustCompile(`(?m)^    (status|state|kind|mode|signing|format) +text\b([^\n]*)`)
	wordList  = regexp.MustCompile(`CHECK \((\w+) IN \(('[^)]*')\)\)`)
)

// A word that only the code or only the schema knows is a row that is refused or one
// that nobody understands.
func TestSchemaTakesTheWordsOfTheVocabularyAndNoOthers(t *testing.T) {
	t.Parallel()
	listed := wordLists(t)
	for column := range open {
		delete(listed, column)
	}
	for column, v := range vocabularies {
		want := v.words(t)
		if got := listed[column]; !slices.Equal(got, want) {
			t.Errorf("%s takes %q, the vocabulary has %q", column, got, want)
		}
		delete(listed, column)
	}
	for column, words := range listed {
		t.Errorf("%s takes %q; nothing says where its words come from", column, words)
	}
}

// wordLists returns the words that the CHECK of each column takes: of every column that
// has such a CHECK, or the name of one that should.
func wordLists(t *testing.T) map[string][]string {
	t.Helper()
	migrations, err := migration.List(migration.Postgres)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][]string{}
	for _, m := range migrations {
		for _, table := range tableText.FindAllStringSubmatch(m.Text, -1) {
			for _, column := range wordy.FindAllStringSubmatch(table[2], -1) {
				out[table[1]+"."+column[1]] = nil
			}
			for _, check := range wordList.FindAllStringSubmatch(table[2], -1) {
				words := strings.Split(strings.Trim(check[2], "'"), "', '")
				out[table[1]+"."+check[1]] = slices.Sorted(slices.Values(words))
			}
		}
	}
	return out
}

func (v vocabulary) words(t *testing.T) []string {
	t.Helper()
	words := slices.Clone(v.more)
	if v.block != "" {
		words = append(words, block(t, v.block)...)
	}
	words = slices.DeleteFunc(words, func(w string) bool { return slices.Contains(v.unstored, w) })
	slices.Sort(words)
	return words
}

// block returns the texts of the constants that are declared together with one.
func block(t *testing.T, constant string) []string {
	t.Helper()
	folder, name, _ := strings.Cut(constant, ".")
	packages, err := parser.ParseDir(token.NewFileSet(), folder, nil, 0) //nolint:staticcheck // build tags do not matter to constants
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range packages {
		for _, f := range p.Files {
			for _, d := range f.Decls {
				if texts := constants(d); texts[name] != "" {
					return slices.Collect(maps.Values(texts))
				}
			}
		}
	}
	t.Fatalf("there is no constant %s", constant)
	return nil
}

// constants returns the texts of the constants of a declaration, by name.
func constants(d ast.Decl) map[string]string {
	out := map[string]string{}
	declaration, ok := d.(*ast.GenDecl)
	if !ok || declaration.Tok != token.CONST {
		return out
	}
	for _, spec := range declaration.Specs {
		s := spec.(*ast.ValueSpec)
		for i, value := range s.Values {
			if literal, ok := value.(*ast.BasicLit); ok && literal.Kind == token.STRING {
				out[s.Names[i].Name], _ = strconv.Unquote(literal.Value)
			}
		}
	}
	return out
}
