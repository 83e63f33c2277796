package directory

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

func TestCheckNamesEverythingThatIsWrong(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("ü", maxField+1)
	for _, c := range []struct {
		line chunkLine
		want []string // field and message
	}{
		{chunkLine{Email: "ann@acme.example.com"}, nil},
		{chunkLine{Email: "info@gmail.com", Country: "Deutschland", Name: strings.Repeat("ü", maxField), Website: "acme.example.com", Photo: "http://acme.example.com/p"}, nil},
		{chunkLine{}, []string{"email is required"}},
		{chunkLine{Email: "ann", Country: "Atlantis"}, []string{"email is no e-mail address", "country is no known country"}},
		{chunkLine{Email: "ann@acme.example.com", Name: long, JobTitle: long, CompanyName: long},
			[]string{"name is longer than 256 characters", "jobTitle is longer than 256 characters", "companyName is longer than 256 characters"}},
		{chunkLine{Email: "ann@acme.example.com", Website: "javascript:alert(1)", Photo: "acme.example.com/p"},
			[]string{"website is no http or https URL", "photo is no http or https URL"}},
		{chunkLine{Email: "ann@acme.example.com", Website: "see our page", Photo: "https://" + strings.Repeat("x", maxLink)},
			[]string{"website is no http or https URL", "photo is longer than 2048 characters"}},
	} {
		c.line.Line = 7
		_, wrong := check(c.line)
		var got []string
		for _, e := range wrong {
			got = append(got, e.Field+" "+e.Message)
			if e.Line != 7 {
				t.Errorf("the error is of line %d", e.Line)
			}
		}
		if !reflect.DeepEqual(got, c.want) {
			t.Errorf("%+v: %q, want %q", c.line, got, c.want)
		}
	}
}

func TestCheckTakesWhatTheSearchComparesBy(t *testing.T) {
	t.Parallel()
	p, wrong := check(chunkLine{Email: "Ann+News@mail.Acme.example.com", Name: "Ann\nLee ", JobTitle: "Head of Sales", Country: "united states", Website: "acme.example.com/team"})
	if len(wrong) > 0 || p.Email.Key() != "ann+news@mail.acme.example.com" || p.Key != "ann@mail.acme.example.com" || p.Company == "" ||
		p.Name != "Ann Lee" || p.Country != "US" || p.Department == "" || p.Seniority == 0 || p.Website != "https://acme.example.com/team" {
		t.Errorf("%+v %v", p, wrong)
	}
	if p, _ := check(chunkLine{Email: "info@acme.example.com"}); p.Company != "" {
		t.Error("a role address has a company, where colleagues would find it")
	}
}

func TestAnAddressIsTakenAsASheetHoldsIt(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"mailto:ann@acme.example.com", "Ann Lee <ann@acme.example.com>", "ann@acme.example.com;", "ann@acme.example.com ::: lee@acme.example.com"} {
		if p, wrong := check(chunkLine{Email: text}); len(wrong) > 0 || p.Email.Display() != "ann@acme.example.com" {
			t.Errorf("%q: %v %v", text, p.Email.Display(), wrong)
		}
	}
}

// The errors of an import are shown and downloaded: they must not hold what
// the file says.
func FuzzErrorsQuoteNothing(f *testing.F) {
	f.Add("secret@@", "secret", "secret://")
	f.Add("", "=SECRET()", "\x00secret")
	f.Fuzz(func(t *testing.T, email, country, link string) {
		const mark = "q7Zx"
		_, wrong := check(chunkLine{Email: email + mark, Country: country + mark, Website: link + mark, Photo: link + mark})
		text, err := json.Marshal(wrong)
		if err != nil || strings.Contains(string(text), mark) {
			t.Errorf("%s %v", text, err)
		}
		for _, e := range wrong {
			if strings.ContainsAny(e.Field[:1]+e.Message[:1], "=+-@\t\r") {
				t.Errorf("%+v would be a formula", e)
			}
		}
	})
}
