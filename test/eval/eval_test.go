package main

import (
	"strings"
	"testing"

	"usersync/internal/colleague"
	"usersync/internal/identity"
)

func TestTheSearchIsAsGoodAsItWas(t *testing.T) {
	t.Parallel()
	r, err := evaluate(t.Context(), t.TempDir(), allSets)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.err(); err != nil {
		var out strings.Builder
		if err := r.print(&out); err != nil {
			t.Fatal(err)
		}
		t.Errorf("%v\n%s", err, out.String())
	}
	if r.total.cases < 300 {
		t.Errorf("%d cases", r.total.cases)
	}
}

// TestTheKeptHalfIsAsGoodAsItWas holds the half that was kept while the rules were
// made to what it reached.
func TestTheKeptHalfIsAsGoodAsItWas(t *testing.T) {
	t.Parallel()
	r, err := evaluate(t.Context(), t.TempDir(), []string{"kept"})
	if err != nil {
		t.Fatal(err)
	}
	if r.total.precision() < 95.9 || r.total.recall() < 99.6 || len(r.failures) > 16 {
		t.Errorf("precision %.2f %%, recall %.2f %%, %d failures\n%s", r.total.precision(), r.total.recall(), len(r.failures), strings.Join(r.failures, "\n"))
	}
	people := tally{}
	for family, t := range r.byFamily {
		if !strings.HasPrefix(family, "free mail") && family != "mistyped providers" {
			people.add(*t)
		}
	}
	if people.precision() < 99.8 || people.recall() < 99.6 {
		t.Errorf("beside the domains of strangers: precision %.2f %%, recall %.2f %%", people.precision(), people.recall())
	}
}

func TestTheSetsByKindHoldTwoThousandCases(t *testing.T) {
	t.Parallel()
	total := 0
	for _, set := range []string{"new", "kept"} {
		cases, err := load(set)
		if err != nil {
			t.Fatal(err)
		}
		total += len(cases)
	}
	if total < 2000 {
		t.Errorf("%d cases", total)
	}
}

func one(t *testing.T, text string) *labelled {
	t.Helper()
	cases, err := parse("x.txt", "[family]\n"+text)
	if err != nil || len(cases) != 1 {
		t.Fatalf("%d cases, %v", len(cases), err)
	}
	return cases[0]
}

// found makes a result of addresses, each with the reasons behind it.
func found(t *testing.T, people ...string) colleague.Result {
	t.Helper()
	var r colleague.Result
	for _, p := range people {
		fields := strings.Fields(p)
		email, err := identity.ParseEmail(fields[0])
		if err != nil {
			t.Fatal(err)
		}
		r.Found = append(r.Found, colleague.Match{Candidate: colleague.Candidate{Email: email}, Reasons: fields[1:]})
	}
	return r
}

func TestJudgeSeesWhatIsWrong(t *testing.T) {
	t.Parallel()
	const pair = "company a@x.example ~ b@x.example c@x.example ! d@y.example"
	const title = "title Developer ~ Engineer ! Lawyer"
	const ordered = "case order\nfor a@x.example\nyes b@x.example\nyes c@x.example\nfirst c@x.example b@x.example"
	skipped := colleague.Result{Skipped: colleague.ReasonPersonalEmail}
	for name, test := range map[string]struct {
		text                 string
		result               colleague.Result
		right, wrong, missed int
		passed               bool
	}{
		"all right":             {pair, found(t, "c@x.example", "b@x.example"), 2, 0, 0, true},
		"one missing":           {pair, found(t, "b@x.example"), 1, 0, 1, false},
		"one too many":          {pair, found(t, "b@x.example", "c@x.example", "d@y.example"), 2, 1, 0, false},
		"skipped":               {pair, skipped, 0, 0, 2, false},
		"skipped as it should":  {"skip a@gmail.com personal_email", skipped, 0, 0, 0, true},
		"skipped for another":   {"skip a@gmail.com no_company", skipped, 0, 0, 0, false},
		"not skipped":           {"skip a@gmail.com personal_email", found(t, "one.stranger@gmail.com"), 0, 1, 0, false},
		"the reason":            {title, found(t, "z0@acme.example same_department", "a0@acme.example"), 1, 0, 0, true},
		"no reason":             {title, found(t, "z0@acme.example", "a0@acme.example"), 0, 0, 1, false},
		"a wrong reason":        {title, found(t, "z0@acme.example same_department", "a0@acme.example same_department"), 1, 1, 0, false},
		"the wrong one first":   {title, found(t, "a0@acme.example", "z0@acme.example same_department"), 1, 0, 0, false},
		"in order":              {ordered, found(t, "c@x.example", "b@x.example"), 2, 0, 0, true},
		"out of order":          {ordered, found(t, "b@x.example", "c@x.example"), 2, 0, 0, false},
		"one person once":       {"twice B B | B, B", found(t, "a0@acme.example"), 1, 0, 0, true},
		"one person twice":      {"twice B B | B, B", found(t, "a0@acme.example", "a1@acme.example"), 1, 1, 0, false},
		"the user found again":  {"same A A ~ A, A ! B B", found(t, "a0@acme.example", "b0@acme.example"), 1, 1, 0, false},
		"an IDN in either form": {"company a@bücher.example ~ b@bücher.example", found(t, "b@xn--bcher-kva.example"), 1, 0, 0, true},
	} {
		got, faults := judge(one(t, test.text), test.result)
		if got.right != test.right || got.wrong != test.wrong || got.missed != test.missed || (got.passed == 1) != test.passed || (len(faults) == 0) != test.passed {
			t.Errorf("%s: %+v, %v", name, got, faults)
		}
	}
}

func TestAKnownLimitCountsButDoesNotFail(t *testing.T) {
	t.Parallel()
	c := one(t, "company a@x.example ~ b@x.example # LIMIT: for the test")
	var r report
	fails, faults := judge(c, found(t))
	r.take(c, fails, faults)
	if len(r.failures) != 0 || len(r.limits) != 1 || r.total.missed != 1 || r.err() == nil {
		t.Errorf("%+v, %v", r, r.err())
	}
	passes, faults := judge(c, found(t, "b@x.example"))
	if r.take(c, passes, faults); len(r.failures) != 1 {
		t.Errorf("a limit that is none any more is not seen: %+v", r)
	}
}

func TestCasesWithMistakesAreRefused(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"companies a@x.example ~ b@x.example", "company ~ b@x.example", "company a@x.example", "yes b@x.example", "skip a@x.example",
		"title A ~ B", "title A ! B", "twice A B", "same A B", "case x\nyes", "case x\nyes tall b@x.example", "case x\nsometimes b@x.example",
	} {
		if _, err := parse("x.txt", text); err == nil {
			t.Errorf("%q is taken for a case", text)
		}
	}
}

func TestATitleMayHoldAHash(t *testing.T) {
	t.Parallel()
	if c := one(t, "title C# Developer ~ F# Developer ! Lawyer # a comment"); c.target.title != "C# Developer" || c.people[0].title != "F# Developer" || c.people[1].title != "Lawyer" {
		t.Errorf("got %+v", c)
	}
}
