package record_test

import (
	"encoding/json"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"usersync/internal/record"
	"usersync/internal/user"
	"usersync/internal/usersync"
)

func address(text string) usersync.Email { return usersync.NewEmail(text, strings.ToLower(text)) }

func truth(b bool) *bool { return &b }

func TestTheProviderWinsInWhatAUserIsAndTheStoreInWhatTheyWant(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		field, stored, told, want string
		from                      record.Source
	}{
		"first name":                   {"firstName", "Ann", "Anna", "Anna", record.FromProvider},
		"first name not told":          {"firstName", "Ann", "", "Ann", record.FromStore},
		"first name told as blank":     {"firstName", "Ann", " \t", "Ann", record.FromStore},
		"last name only told":          {"lastName", "", "Lee", "Lee", record.FromProvider},
		"photo":                        {"photo", "a", "b", "b", record.FromProvider},
		"telephone":                    {"phoneNumber", "1", "2", "2", record.FromProvider},
		"mobile telephone":             {"cellPhone", "1", "2", "2", record.FromProvider},
		"address":                      {"address", "1", "2", "2", record.FromProvider},
		"city":                         {"city", "1", "2", "2", record.FromProvider},
		"country":                      {"country", "1", "2", "2", record.FromProvider},
		"postal code":                  {"postalCode", "1", "2", "2", record.FromProvider},
		"what the user is called":      {"displayName", "1", "2", "2", record.FromProvider},
		"a flag":                       {"promo_flag", "Y", "N", "Y", record.FromStore},
		"a flag that is only told":     {"promo_flag", "", "N", "N", record.FromProvider},
		"permission to write":          {"isOkToEmail", "N", "Y", "N", record.FromStore},
		"accepted offers":              {"acceptsEmailOffers", "N", "Y", "N", record.FromStore},
		"opted out":                    {"optOutMarketing", "Y", "N", "Y", record.FromStore},
		"agreed to terms":              {"agreeToTerms", "Y", "N", "Y", record.FromStore},
		"bounces":                      {"bounceType", "hard", "none", "hard", record.FromStore},
		"a preference told as a blank": {"optOutMarketing", "Y", "  ", "Y", record.FromStore},
		"nothing":                      {"city", "", "", "", ""},
	} {
		stored := record.Record{ID: "user_1", Email: address("a@x.example"), Metadata: record.Metadata{}}
		told := record.Profile{Metadata: record.Metadata{}}
		put(&stored.FirstName, &stored.LastName, stored.Metadata, c.field, c.stored)
		put(&told.FirstName, &told.LastName, told.Metadata, c.field, c.told)
		got, from := record.Merge(&stored, told)
		if value := get(got, c.field); value != c.want || from[c.field] != c.from {
			t.Errorf("%s: %q from %q, want %q from %q", name, value, from[c.field], c.want, c.from)
		}
	}
}

func put(first, last *string, m record.Metadata, field, value string) {
	switch field {
	case "firstName":
		*first = value
	case "lastName":
		*last = value
	default:
		m[field] = value
	}
}

func get(r record.Record, field string) string {
	switch field {
	case "firstName":
		return r.FirstName
	case "lastName":
		return r.LastName
	}
	return r.Metadata[field]
}

func TestVerifiedAndStateOfACombinedRecord(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		stored bool
		told   *bool
		want   bool
	}{
		"not told": {true, nil, true}, "told otherwise": {true, truth(false), false}, "told": {false, truth(true), true}, "neither": {false, nil, false},
	} {
		got, _ := record.Merge(&record.Record{Verified: c.stored, State: record.Lite}, record.Profile{Verified: c.told})
		if got.Verified != c.want || got.State != record.Standard {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestStatesOfOurOwnUsers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		login record.Login
		told  any
		state record.State
		ok    bool
	}{
		{record.Login{}, nil, record.Lite, false}, {record.Login{Verified: true}, nil, record.Lite, true}, {record.Login{Password: true}, nil, record.Unverified, false},
		{record.Login{Password: true, Verified: true}, nil, record.Standard, true}, {record.Login{Password: true}, true, record.Standard, true}, {record.Login{Password: true}, "True", record.Standard, true},
		{record.Login{Password: true}, "no", record.Unverified, false}, {record.Login{Password: true, Verified: true}, false, record.Unverified, false},
	} {
		u := user.Stored{Attributes: map[string]any{record.VerifiedAttribute: c.told}}
		if got := record.OfUser(u, c.login); got.State != c.state || got.Verified != c.ok {
			t.Errorf("%+v %v: %s %v", c.login, c.told, got.State, got.Verified)
		}
	}
}

func TestMetadataHasEveryKeyInTheOrderOfThePage(t *testing.T) {
	t.Parallel()
	text, err := json.Marshal(record.Metadata{"bounceType": `<"é&`, "title": "Dr", "unknown": "x"})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(string(text), `{"title":"Dr","phoneNumber":"","gender":""`) || !strings.HasSuffix(string(text), `"agreeToTerms":"","bounceType":"\u003c\"é\u0026"}`) && !strings.HasSuffix(string(text), `"bounceType":"<\"é&"}`) {
		t.Errorf("%s", text)
	}
	var back map[string]string
	if err := json.Unmarshal(text, &back); err != nil || len(back) != len(record.Keys) || back["bounceType"] != `<"é&` {
		t.Errorf("%v %v", back, err)
	}
}

func TestAttributesOfEveryKindBecomeTexts(t *testing.T) {
	t.Parallel()
	u := user.Stored{ID: "user_1", Country: "US", JobTitle: "Editor", Name: "Ann Lee", Attributes: map[string]any{
		"age": json.Number("42"), "promo_flag": true, "city": "Bonn", "title": []any{"Dr", "Prof"}, "gender": nil, "position": "Chief", "other": "x",
	}}
	got := record.OfUser(u, record.Login{}).Metadata
	want := record.Metadata{"age": "42", "promo_flag": "true", "city": "Bonn", "title": "Dr,Prof", "position": "Chief", "country": "US", "displayName": "Ann Lee"}
	if !maps.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// anything returns a random text, often blank.
func anything(r *rand.Rand) string { return []string{"", "", " ", "a", "b", "Ann", "\t"}[r.IntN(7)] }

func anybody(r *rand.Rand) (*record.Record, record.Profile) {
	told := record.Profile{FirstName: anything(r), LastName: anything(r), Email: address("a@x.example"), Metadata: record.Metadata{}}
	if r.IntN(2) == 0 {
		told.Verified = truth(r.IntN(2) == 0)
	}
	stored := record.Record{ID: "user_1", Email: address("A@x.example"), FirstName: anything(r), LastName: anything(r), Verified: r.IntN(2) == 0, Metadata: record.Metadata{}}
	for _, i := range r.Perm(len(record.Keys)) {
		stored.Metadata[record.Keys[i]], told.Metadata[record.Keys[i]] = anything(r), anything(r)
	}
	if r.IntN(5) == 0 {
		return nil, told
	}
	return &stored, told
}

func TestMergingIsIdempotentAndNoBlankReplacesAValue(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // a property test repeats itself
	for range 2000 {
		stored, told := anybody(r)
		once, from := record.Merge(stored, told)
		twice, _ := record.Merge(&once, told)
		if !reflect.DeepEqual(once, twice) {
			t.Fatalf("merged twice:\n%+v\n%+v", once, twice)
		}
		for _, field := range append([]string{"firstName", "lastName"}, record.Keys...) {
			var before string
			if stored != nil {
				before = get(*stored, field)
			}
			if strings.TrimSpace(before) != "" && strings.TrimSpace(get(once, field)) == "" {
				t.Fatalf("a blank replaced %s", field)
			}
			if (from[field] == "") != (strings.TrimSpace(get(once, field)) == "") {
				t.Fatalf("%s has the source %q and the value %q", field, from[field], get(once, field))
			}
		}
	}
}

// TestTheOrderOfKeysDoesNotMatter builds the same maps in other orders.
func TestTheOrderOfKeysDoesNotMatter(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(3, 4)) //nolint:gosec // as above
	for range 200 {
		stored, told := anybody(r)
		want, _ := record.Merge(stored, told)
		shuffled := record.Metadata{}
		keys := slices.Collect(maps.Keys(told.Metadata))
		r.Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
		for _, key := range keys {
			shuffled[key] = told.Metadata[key]
		}
		told.Metadata = shuffled
		if got, _ := record.Merge(stored, told); !reflect.DeepEqual(got, want) {
			t.Fatalf("%+v, want %+v", got, want)
		}
	}
}

// TestWhatWasLearntIsNotLearntAgain takes over what a merge learnt, as the pipeline does.
func TestWhatWasLearntIsNotLearntAgain(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(5, 6)) //nolint:gosec // as above
	learnt := 0
	for range 2000 {
		stored, told := anybody(r)
		told = told.Tidy()
		u := usersync.User{}
		if stored != nil {
			stored.Metadata = record.Profile{Metadata: stored.Metadata}.Tidy().Metadata
			u.FirstName, u.LastName, u.Attributes = stored.FirstName, stored.LastName, map[string]any{record.VerifiedAttribute: stored.Verified}
			for key, text := range stored.Metadata {
				u.Attributes[key] = text
			}
		}
		merged, from := record.Merge(stored, told)
		in, ok := record.Learnt(stored, merged, from)
		if !ok {
			continue
		}
		learnt++
		u.Apply(in, 1)
		now := record.OfUser(user.Stored{ID: "user_1", Email: in.Email, FirstName: u.FirstName, LastName: u.LastName, Attributes: u.Attributes}, record.Login{})
		again, from := record.Merge(&now, told)
		if in, ok := record.Learnt(&now, again, from); ok {
			t.Fatalf("learnt again: %+v\nstored %+v\ntold %+v", in, now, told)
		}
		if !reflect.DeepEqual(get(again, "firstName"), get(merged, "firstName")) || !maps.Equal(again.Metadata, merged.Metadata) {
			t.Fatalf("what was taken over differs:\n%+v\n%+v", again, merged)
		}
	}
	if learnt < 500 {
		t.Errorf("only %d had anything to learn", learnt)
	}
}

func FuzzMerge(f *testing.F) {
	f.Add("Ann", "Anna", "Y", "N", "Bonn", " ")
	f.Add("", "\x00", "\xff", "é", "", "x")
	f.Fuzz(func(t *testing.T, first, toldFirst, flag, toldFlag, city, toldCity string) {
		stored := &record.Record{FirstName: first, Metadata: record.Metadata{"promo_flag": flag, "city": city}}
		told := record.Profile{FirstName: toldFirst, Metadata: record.Metadata{"promo_flag": toldFlag, "city": toldCity}}.Tidy()
		once, from := record.Merge(stored, told)
		twice, _ := record.Merge(&once, told)
		if !reflect.DeepEqual(once, twice) {
			t.Errorf("%+v, then %+v", once, twice)
		}
		if strings.TrimSpace(flag) != "" && once.Metadata["promo_flag"] != flag {
			t.Errorf("the provider said what the user wants: %q", once.Metadata["promo_flag"])
		}
		if from["city"] == record.FromProvider && once.Metadata["city"] != told.Metadata["city"] {
			t.Errorf("%q is not from the provider", once.Metadata["city"])
		}
		if _, err := json.Marshal(once.Metadata); err != nil {
			t.Error(err)
		}
	})
}
