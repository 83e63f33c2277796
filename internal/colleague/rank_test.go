package colleague

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"usersync/internal/identity"
	"usersync/internal/tenant"
	"usersync/internal/usersync"
)

func email(t testing.TB, s string) usersync.Email {
	t.Helper()
	e, err := identity.ParseEmail(s)
	if err != nil {
		t.Fatalf("ParseEmail(%q): %v", s, err)
	}
	return e
}

// candidate is what a source says of an address, with what follows from it.
func candidate(t testing.TB, address, name, title, country string) Candidate {
	t.Helper()
	return Candidate{
		Email: email(t, address), Name: name, JobTitle: title, Country: country,
		Department: identity.Department(title), Seniority: identity.Seniority(title),
	}
}

// found ranks candidates of the companies for a target.
func found(target Target, companies []string, candidates ...Candidate) []Match {
	g := &group{domains: newDomains(tenant.Settings{}), companies: companies}
	answer := make([]Answer, len(companies)) // one per company
	answer[0].People = candidates
	return rank(target, g.members([]answered{{answers: answer}}))
}

func addresses(matches []Match) []string {
	list := []string{}
	for _, m := range matches {
		list = append(list, m.Email.Display())
	}
	return list
}

var acme = []string{"acme.example"}

func TestScoreAndReasonsFollowFromWhatIsShared(t *testing.T) {
	t.Parallel()
	target := Target{Email: email(t, "ann@acme.example"), Country: "DE", JobTitle: "Senior Software Engineer"}
	user := candidate(t, "a@acme.example", "Ben Bold", "Senior Software Engineer", "DE")
	user.IsUser = true
	tests := map[string]struct {
		candidate Candidate
		score     float64
		reasons   []string
	}{
		"everything":    {user, 0.98, []string{"same_company", "same_country", "same_department", "near_seniority", "known_user", "known_profile"}},
		"company only":  {candidate(t, "a@acme.example", "", "", ""), 0.35, []string{"same_company"}},
		"country":       {candidate(t, "a@acme.example", "", "", "DE"), 0.68, []string{"same_company", "same_country"}},
		"other country": {candidate(t, "a@acme.example", "", "", "FR"), 0.35, []string{"same_company"}},
		"department and next rank, no name": {candidate(t, "a@acme.example", "", "Software Engineer", "FR"), 0.56,
			[]string{"same_company", "same_department", "near_seniority"}},
		"same rank elsewhere": {candidate(t, "a@acme.example", "Ben Bold", "Senior Accountant", "FR"), 0.45,
			[]string{"same_company", "near_seniority", "known_profile"}},
		"far rank": {candidate(t, "a@acme.example", "", "Chief Technology Officer", "FR"), 0.52,
			[]string{"same_company", "same_department"}},
		"name without title is no profile": {candidate(t, "a@acme.example", "Ben Bold", "", ""), 0.35, []string{"same_company"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			matches := found(target, acme, test.candidate)
			if len(matches) != 1 || matches[0].Score != test.score || !slices.Equal(matches[0].Reasons, test.reasons) {
				t.Errorf("got %+v, want one of score %v for %v", matches, test.score, test.reasons)
			}
		})
	}
}

func TestNothingKnownOfTheTargetMatchesNothingUnknown(t *testing.T) {
	t.Parallel()
	matches := found(Target{Email: email(t, "ann@acme.example")}, acme, candidate(t, "a@acme.example", "", "", ""))
	if want := []string{ReasonSameCompany}; !slices.Equal(matches[0].Reasons, want) {
		t.Errorf("reasons %v, want %v", matches[0].Reasons, want)
	}
}

func TestPointsAddUpToAHundred(t *testing.T) {
	t.Parallel()
	const sum = pointsCompany + pointsCountry + pointsDepartment + pointsSeniority + pointsKnownUser + maxFurther*pointsFurther + pointsKnownProfile
	if sum != 100 {
		t.Errorf("points add up to %d", sum)
	}
}

func TestEachTraitOutweighsAllBelowIt(t *testing.T) {
	t.Parallel()
	points := []int{pointsCountry, pointsDepartment, pointsSeniority, pointsKnownUser, maxFurther * pointsFurther, pointsKnownProfile}
	for i := range points[:3] {
		below := 0
		for _, p := range points[i+1:] {
			below += p
		}
		if points[i] <= below {
			t.Errorf("trait %d has %d points, those below it %d", i, points[i], below)
		}
	}
}

func TestNeverAColleague(t *testing.T) {
	t.Parallel()
	companies := []string{"acme.example", "amazonaws.com", "xn--bcher-kva.example"}
	tests := map[string]string{
		"the target":                   "ann@acme.example",
		"in another case":              "Ann@ACME.Example",
		"with a tag":                   "ann+news@acme.example",
		"in needless quotes":           `"ann"@acme.example`,
		"a role":                       "info@acme.example",
		"a role with a tag":            "Support+de@acme.example",
		"a role with a region":         "sales-emea@acme.example",
		"a machine":                    "no-reply@acme.example",
		"a role of a subdomain":        "info@us.acme.example",
		"a mail provider's customer":   "ben.bold@gmail.com",
		"a throw-away address":         "ben.bold@mailinator.com",
		"a longer domain":              "ben@notacme.example",
		"the company as a label":       "ben@acme.example.evil.example",
		"the company's name elsewhere": "ben@acme.example.com",
		"a hyphenated look-alike":      "ben@acme-example.com",
		"a foreign letter look-alike":  "ben@аcme.example",
		"another top level domain":     "ben@acme.test",
		"a public suffix below it":     "ben@bucket.s3.amazonaws.com",
	}
	for name, address := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			target := Target{Email: email(t, "ann@acme.example")}
			matches := found(target, companies, candidate(t, address, "Ben Bold", "", ""), candidate(t, "carl@acme.example", "", "", ""))
			if got := addresses(matches); !slices.Equal(got, []string{"carl@acme.example"}) {
				t.Errorf("found %v", got)
			}
		})
	}
}

func TestATaggedTargetIsNotItsOwnColleague(t *testing.T) {
	t.Parallel()
	matches := found(Target{Email: email(t, "Ann+Work@acme.example")}, acme,
		candidate(t, "ann@acme.example", "", "", ""), candidate(t, "ann+b@acme.example", "", "", ""))
	if len(matches) != 0 {
		t.Errorf("found %v", addresses(matches))
	}
}

func TestAnyDomainOfTheCompanyCounts(t *testing.T) {
	t.Parallel()
	companies := []string{"acme.example", "acme.test", "xn--bcher-kva.example"}
	for _, address := range []string{"ben@acme.example", "ben@us.acme.example", "ben@a.b.acme.example", "ben@ACME.test", "ben@eu.acme.test", "ben@bücher.example"} {
		matches := found(Target{Email: email(t, "ann@acme.example")}, companies, candidate(t, address, "", "", ""))
		if len(matches) != 1 {
			t.Errorf("%s is not found", address)
		}
	}
}

func TestTheTargetsNameUnderAnotherAddressIsTheTarget(t *testing.T) {
	t.Parallel()
	own := candidate(t, "ann@acme.example", "Ann Ämes", "", "")
	tests := map[string]struct {
		name       string
		candidates []Candidate
		want       []string
	}{
		"by the name sent":      {"Ann Ames", []Candidate{candidate(t, "ann.ames@acme.example", "AMES, Ann", "", "")}, nil},
		"by the name on record": {"", []Candidate{own, candidate(t, "ann.ames@acme.example", "Dr. Ann Aemes", "", "")}, nil},
		"by either form":        {"Ann Ämes", []Candidate{candidate(t, "a@acme.example", "Ann Ames", "", ""), candidate(t, "b@acme.example", "Ann Aemes", "", "")}, nil},
		"another name":          {"Ann Ames", []Candidate{candidate(t, "a@acme.example", "Ann Amis", "", "")}, []string{"a@acme.example"}},
		"a name of one word":    {"Ann", []Candidate{candidate(t, "a@acme.example", "Ann", "", "")}, nil},
		"and more of it":        {"Ann", []Candidate{candidate(t, "ann.lee@acme.example", "Ann Lee", "", "")}, []string{"ann.lee@acme.example"}},
		"without the initial":   {"Ann B. Ames", []Candidate{candidate(t, "a@acme.example", "Ann Ames", "", "")}, nil},
		"with another initial":  {"Ann B. Ames", []Candidate{candidate(t, "a@acme.example", "Ann C. Ames", "", "")}, []string{"a@acme.example"}},
		"no name":               {"", []Candidate{candidate(t, "a@acme.example", "", "", "")}, []string{"a@acme.example"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			target := Target{Email: email(t, "ann@acme.example"), Name: test.name}
			if got := addresses(found(target, acme, test.candidates...)); !slices.Equal(got, slices.Concat([]string{}, test.want)) {
				t.Errorf("found %v, want %v", got, test.want)
			}
		})
	}
}

func TestNamesAreTheSameThroughAThird(t *testing.T) {
	t.Parallel()
	people := []Candidate{candidate(t, "a@acme.example", "Jo Mueller", "", ""), candidate(t, "b@acme.example", "Jo Muller", "", ""),
		candidate(t, "c@acme.example", "Jo Müller", "", "")}
	target := Target{Email: email(t, "ann@acme.example")}
	if got := addresses(found(target, acme, people...)); !slices.Equal(got, []string{"a@acme.example"}) {
		t.Errorf("found %v", got)
	}
	if got := addresses(found(target, acme, people[:2]...)); len(got) != 2 {
		t.Errorf("found %v: nothing says that these are the same", got)
	}
}

func TestMoreRecordsScoreAboveOne(t *testing.T) {
	t.Parallel()
	target := Target{Email: email(t, "ann@acme.example")}
	score := func(candidates ...Candidate) float64 {
		t.Helper()
		matches := found(target, acme, candidates...)
		if len(matches) != 1 {
			t.Fatalf("found %v", addresses(matches))
		}
		if several := slices.Contains(matches[0].Reasons, ReasonSeveralRecords); several != (matches[0].Score > 0.35) {
			t.Errorf("score %v for %v", matches[0].Score, matches[0].Reasons)
		}
		return matches[0].Score
	}
	one := candidate(t, "ben@acme.example", "Ben Bold", "", "")
	tagged, older, elsewhere := candidate(t, "ben+x@acme.example", "", "", ""), one, candidate(t, "b.bold@acme.example", "Bold, Ben", "", "")
	older.UpdatedAt = 1
	for name, test := range map[string]struct {
		candidates []Candidate
		want       float64
	}{
		"one record":               {[]Candidate{one}, 0.35},
		"the same record twice":    {[]Candidate{one, one}, 0.35},
		"two records":              {[]Candidate{one, older}, 0.36},
		"under a tag":              {[]Candidate{one, tagged}, 0.36},
		"under a second address":   {[]Candidate{one, elsewhere}, 0.36},
		"three records":            {[]Candidate{one, tagged, elsewhere}, 0.37},
		"no more than two further": {[]Candidate{one, older, tagged, elsewhere}, 0.37},
	} {
		if got := score(test.candidates...); got != test.want {
			t.Errorf("%s: score %v, want %v", name, got, test.want)
		}
	}
}

func TestTheSameWordsOfTwoSourcesAreTwoRecords(t *testing.T) {
	t.Parallel()
	people := []Answer{{People: []Candidate{candidate(t, "ben@acme.example", "Ben Bold", "", "")}}}
	g := &group{domains: newDomains(tenant.Settings{}), companies: acme}
	matches := rank(Target{Email: email(t, "ann@acme.example")}, g.members([]answered{{answers: people}, {answers: people}}))
	if len(matches) != 1 || matches[0].Score != 0.36 {
		t.Errorf("got %+v", matches)
	}
}

func TestADeletedMailboxStaysAwayUnderEveryAddress(t *testing.T) {
	t.Parallel()
	deleted := candidate(t, "ben+old@acme.example", "", "", "")
	deleted.Status = Deleted
	matches := found(Target{Email: email(t, "ann@acme.example")}, acme, deleted,
		candidate(t, "ben@acme.example", "", "", ""), candidate(t, "carl@acme.example", "", "", ""))
	if got := addresses(matches); !slices.Equal(got, []string{"carl@acme.example"}) {
		t.Errorf("found %v", got)
	}
}

func TestADeletedAddressDoesNotHideAnotherAddressOfThatName(t *testing.T) {
	t.Parallel()
	deleted := candidate(t, "ben@acme.example", "Ben Bold", "", "")
	deleted.Status = Deleted
	matches := found(Target{Email: email(t, "ann@acme.example")}, acme, deleted, candidate(t, "ben.bold@acme.example", "Ben Bold", "", ""))
	if got := addresses(matches); !slices.Equal(got, []string{"ben.bold@acme.example"}) {
		t.Errorf("found %v", got)
	}
}

func TestTheSamePersonCountsOnce(t *testing.T) {
	t.Parallel()
	target := Target{Email: email(t, "ann@acme.example"), Country: "DE"}
	tests := map[string]struct {
		a, b Candidate
		want []string
	}{
		"the address without tag leads": {candidate(t, "ben@acme.example", "", "", ""), candidate(t, "ben+x@acme.example", "", "", "DE"),
			[]string{"ben@acme.example"}},
		"of one name the better match is kept": {candidate(t, "ben.bold@acme.example", "Ben  BOLD", "", "DE"), candidate(t, "b@acme.example", "ben bold", "", "FR"),
			[]string{"ben.bold@acme.example"}},
		"of one name at two subdomains": {candidate(t, "ben@us.acme.example", "Ben Bold", "", "US"), candidate(t, "ben@de.acme.example", "Ben Bold", "", "DE"),
			[]string{"ben@de.acme.example"}},
		"a first name alone is nobody's own": {candidate(t, "ben.a@acme.example", "Ben", "", ""), candidate(t, "ben.b@acme.example", "Ben", "", ""),
			[]string{"ben.a@acme.example", "ben.b@acme.example"}},
		"no name is no name": {candidate(t, "ben.a@acme.example", " ", "", ""), candidate(t, "ben.b@acme.example", "", "", ""),
			[]string{"ben.a@acme.example", "ben.b@acme.example"}},
		"full stops and underscores tell nobody apart": {candidate(t, "ben.bold@acme.example", "", "", ""), candidate(t, "ben_bold@acme.example", "", "", ""),
			[]string{"ben.bold@acme.example"}},
		"nor does the host": {candidate(t, "bbold@acme.example", "Ben Bold", "", ""), candidate(t, "bbold@us.acme.example", "", "", ""),
			[]string{"bbold@acme.example"}},
		"but names that differ do": {candidate(t, "ben@acme.example", "Ben Bold", "", ""), candidate(t, "ben@us.acme.example", "Ben Brave", "", ""),
			[]string{"ben@acme.example", "ben@us.acme.example"}},
		"a short form of the first name": {candidate(t, "d.frei@acme.example", "Daniel Frei", "", ""), candidate(t, "dan@acme.example", "Dan Frei", "", ""),
			[]string{"d.frei@acme.example"}},
		"namesakes with other numbers and titles are two": {candidate(t, "ben.bold@acme.example", "Ben Bold", "Lawyer", ""), candidate(t, "ben.bold2@acme.example", "Ben Bold", "Nurse", ""),
			[]string{"ben.bold2@acme.example", "ben.bold@acme.example"}},
		"with one title they are one": {candidate(t, "ben.bold@acme.example", "Ben Bold", "Lawyer", ""), candidate(t, "ben.bold2@acme.example", "Ben Bold", "lawyer", ""),
			[]string{"ben.bold2@acme.example"}},
		"and with addresses made of the name": {candidate(t, "bbold@acme.example", "Ben Bold", "Lawyer", ""), candidate(t, "ben@acme.example", "Ben Bold", "Nurse", ""),
			[]string{"bbold@acme.example"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, order := range [][]Candidate{{test.a, test.b}, {test.b, test.a}} {
				if got := addresses(found(target, acme, order...)); !slices.Equal(got, test.want) {
					t.Errorf("found %v, want %v", got, test.want)
				}
			}
		})
	}
}

func TestAUserKnownToADirectoryStaysAUserAndKeepsItsPhoto(t *testing.T) {
	t.Parallel()
	user := candidate(t, "ben@acme.example", "Ben", "", "")
	user.IsUser, user.UpdatedAt = true, 1
	imported := candidate(t, "Ben@acme.example", "Ben Bold", "Accountant", "DE")
	imported.Photo, imported.UpdatedAt = "https://photos.example/ben", 2
	want := candidate(t, "ben@acme.example", "Ben", "Accountant", "DE")
	want.Key, want.IsUser, want.UpdatedAt, want.Photo = "ben@acme.example", true, 2, imported.Photo
	matches := found(Target{Email: email(t, "ann@acme.example")}, acme, imported, user)
	if len(matches) != 1 || !reflect.DeepEqual(matches[0].Candidate, want) {
		t.Errorf("got %+v, want %+v", matches, want)
	}
}

func TestEqualScoresAreOrderedByChangeThenAddress(t *testing.T) {
	t.Parallel()
	changed := func(address string, at int64) Candidate {
		c := candidate(t, address, "", "", "")
		c.UpdatedAt = at
		return c
	}
	better := candidate(t, "z@acme.example", "", "", "DE")
	matches := found(Target{Email: email(t, "ann@acme.example"), Country: "DE"}, acme,
		changed("Dora@acme.example", 1), changed("carl@acme.example", 1), changed("eve@acme.example", 2), better)
	want := []string{"z@acme.example", "eve@acme.example", "carl@acme.example", "Dora@acme.example"}
	if got := addresses(matches); !slices.Equal(got, want) {
		t.Errorf("found %v, want %v", got, want)
	}
}

func TestTheBestFiftyAreKept(t *testing.T) {
	t.Parallel()
	var candidates []Candidate
	for i := range 60 {
		country := "DE"
		if i < 10 {
			country = "FR"
		}
		candidates = append(candidates, candidate(t, fmt.Sprintf("p%02d@acme.example", i), "", "", country))
	}
	matches := found(Target{Email: email(t, "ann@acme.example"), Country: "DE"}, acme, candidates...)
	if len(matches) != MaxColleagues {
		t.Fatalf("%d are kept", len(matches))
	}
	for i, m := range matches {
		if want := fmt.Sprintf("p%02d@acme.example", i+10); m.Email.Display() != want {
			t.Errorf("place %d is not %s", i, want)
		}
	}
}

func TestReasonsOfAMatchAreItsOwn(t *testing.T) {
	t.Parallel()
	matches := found(Target{Email: email(t, "ann@acme.example")}, acme, candidate(t, "a@acme.example", "", "", ""), candidate(t, "b@acme.example", "", "", ""))
	_ = append(matches[0].Reasons, "other")
	if want := []string{ReasonSameCompany}; !slices.Equal(matches[1].Reasons, want) {
		t.Errorf("reasons %v, want %v", matches[1].Reasons, want)
	}
}

func TestTheOrderOfCandidatesChangesNothing(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(20, 26))
	for range 200 {
		candidates := randomCandidates(t, random, 1+random.IntN(120))
		target := Target{Email: candidates[0].Email, Country: "DE", JobTitle: "Sales Manager"}
		before := slices.Clone(candidates)
		want := found(target, acme, candidates...)
		if !reflect.DeepEqual(before, candidates) {
			t.Fatal("ranking changed its input")
		}
		for range 5 {
			random.Shuffle(len(candidates), func(i, j int) { candidates[i], candidates[j] = candidates[j], candidates[i] })
			if got := found(target, acme, candidates...); !reflect.DeepEqual(got, want) {
				t.Fatalf("another order gives %v, want %v", addresses(got), addresses(want))
			}
		}
	}
}

func TestEveryFieldOfARecordDecidesItsPlace(t *testing.T) {
	t.Parallel()
	base := candidate(t, "ben+a@acme.example", "", "", "")
	for field := range reflect.TypeFor[Candidate]().Fields() {
		other := base
		value := reflect.ValueOf(&other).Elem().FieldByIndex(field.Index)
		switch field.Name {
		case "Email":
			value.Set(reflect.ValueOf(email(t, "Ben+a@acme.example")))
		case "Key": // worked out from the address
			continue
		default:
			setNonZero(t, value)
		}
		a, b := record{"ben@acme.example", 0, &base}, record{"ben@acme.example", 0, &other}
		if precedence(a, b) == 0 || precedence(a, b) != -precedence(b, a) {
			t.Errorf("records that differ in %s have no order", field.Name)
		}
	}
}

func setNonZero(t testing.TB, v reflect.Value) {
	t.Helper()
	switch {
	case v.Kind() == reflect.String:
		v.SetString("x")
	case v.Kind() == reflect.Bool:
		v.SetBool(true)
	case v.CanInt():
		v.SetInt(1)
	default:
		t.Fatalf("no value for a field of type %s", v.Type())
	}
}

// randomCandidates draws from few values, so that people, names, times and
// scores often collide.
func randomCandidates(t testing.TB, random *rand.Rand, n int) []Candidate {
	t.Helper()
	pick := func(values ...string) string { return values[random.IntN(len(values))] }
	candidates := make([]Candidate, n)
	for i := range candidates {
		local := pick("p", "q", "info") + fmt.Sprint(random.IntN(40)) + pick("", "", "+a", "+b")
		candidates[i] = candidate(t, local+"@"+pick("acme.example", "acme.example", "us.acme.example", "other.example", "gmail.com"),
			pick("", "Ben Bold", "ben BOLD", "Carl", "Dora Dean", "Eve Ernst")+pick("", "", " jr", " sr"),
			pick("", "Sales Manager", "CEO", "Accountant"), pick("", "DE", "FR"))
		candidates[i].IsUser = random.IntN(3) == 0
		candidates[i].UpdatedAt = int64(random.IntN(3))
		candidates[i].Photo = pick("", "https://photos.example/1", "https://photos.example/2")
		candidates[i].Status = Status(pick("", "", "", "pending", "joined", "deleted"))
	}
	return candidates
}

func BenchmarkRank(b *testing.B) {
	titles := []string{"Software Engineer", "Sales Manager", "Accountant", "Head of Marketing", ""}
	countries := []string{"DE", "FR", "US"}
	for _, n := range []int{3, 240} {
		candidates := make([]Candidate, n)
		for i := range candidates {
			candidates[i] = candidate(b, fmt.Sprintf("first%d.last%d@acme.example", i*7919%n, i), fmt.Sprintf("First%d Last%d", i, i),
				titles[i%len(titles)], countries[i%len(countries)])
			candidates[i].UpdatedAt = int64(i % 17)
		}
		target := Target{Email: email(b, "ann@acme.example"), Country: "DE", JobTitle: "Senior Software Engineer"}
		answers := []answered{{answers: []Answer{{People: candidates}}}}
		b.Run(fmt.Sprintf("candidates=%d/pool and rank", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				g := group{domains: newDomains(tenant.Settings{}), companies: acme}
				rank(target, g.members(answers))
			}
		})
		b.Run(fmt.Sprintf("candidates=%d/rank", n), func(b *testing.B) {
			b.ReportAllocs()
			g := group{domains: newDomains(tenant.Settings{}), companies: acme}
			members := g.members(answers)
			for b.Loop() {
				rank(target, members)
			}
		})
	}
}
