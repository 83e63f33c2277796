package usersync

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func TestAttributesBeyondTheirBoundAreLeftOut(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 30<<10)
	u := User{}
	apply := func(seq int64, attributes map[string]any, wantLeft ...string) {
		t.Helper()
		in, left := u.Fitting(UserInput{Attributes: attributes}, seq)
		if !slices.Equal(left, wantLeft) {
			t.Errorf("request %d: left out %v, want %v", seq, left, wantLeft)
		}
		u.Apply(in, seq)
		if n := SizeOf(u.Attributes); n > MaxAttributes {
			t.Errorf("request %d: %d bytes are stored", seq, n)
		}
	}
	apply(1, map[string]any{"a": long, "b": long})
	apply(2, map[string]any{"c": long, "d": 7.0}, "c")
	apply(3, map[string]any{"a": long[:10], "b": long}) // a gets shorter
	apply(4, map[string]any{"c": long, "a": ""})
	apply(3, map[string]any{"b": long + long}) // an older one says nothing new
	if got, want := slices.Sorted(maps.Keys(u.Attributes)), []string{"a", "b", "c", "d"}; !slices.Equal(got, want) {
		t.Errorf("attributes %v, want %v", got, want)
	}
}

func TestAUserOfManyCallsStaysWithinTheBound(t *testing.T) {
	t.Parallel()
	u := User{}
	for seq := range int64(2000) {
		in, _ := u.Fitting(UserInput{Attributes: map[string]any{"name" + strconv.FormatInt(seq, 10): strings.Repeat("v", 100)}}, seq+1)
		u.Apply(in, seq+1)
	}
	if n := SizeOf(u.Attributes); n > MaxAttributes || n < MaxAttributes-200 {
		t.Errorf("%d bytes are stored, want up to %d", n, MaxAttributes)
	}
}

func TestAClearedFieldIsKnownAndEmptyUntilItIsSetAgain(t *testing.T) {
	t.Parallel()
	u := User{}
	u.Apply(UserInput{FirstName: "Ada", JobTitle: "Analyst", Attributes: map[string]any{"plan": "pro", "seats": json.Number("3")}}, 1)
	clearing := UserInput{Cleared: []Field{FieldFirstName, FieldInviteLink}, Attributes: map[string]any{"plan": nil, "never": nil}}
	if got, want := u.Changes(clearing, 2), []Field{FieldFirstName, "attributes.plan"}; !slices.Equal(got, want) {
		t.Errorf("clearing changes %v, want %v", got, want)
	}
	if !u.Apply(clearing, 2) || u.FirstName != "" || len(u.Attributes) != 1 {
		t.Errorf("got %+v", u)
	}
	want := []Field{"attributes.never", "attributes.plan", FieldFirstName, FieldInviteLink}
	if got := u.ClearedFields(u.Sequences); !slices.Equal(got, want) {
		t.Errorf("cleared are %v, want %v", got, want)
	}
	// An older request fills nothing in, a newer one does, and what is absent says nothing.
	u.Apply(UserInput{FirstName: "Byron", Attributes: map[string]any{"plan": "free"}}, 1)
	if u.FirstName != "" || u.Attributes["plan"] != nil || u.JobTitle != "Analyst" {
		t.Errorf("got %+v", u)
	}
	u.Apply(UserInput{FirstName: "Augusta", Attributes: map[string]any{"plan": "free"}}, 3)
	if got := u.ClearedFields(u.Sequences); !slices.Equal(got, []Field{"attributes.never", FieldInviteLink}) || u.FirstName != "Augusta" {
		t.Errorf("cleared are %v of %+v", got, u)
	}
}

func TestNamesOfClearedAttributesStayWithinTheBound(t *testing.T) {
	t.Parallel()
	u := User{}
	name := strings.Repeat("n", 60)
	for seq := range int64(3000) {
		in, _ := u.Fitting(UserInput{Attributes: map[string]any{name + strconv.FormatInt(seq, 10): nil}}, seq+1)
		u.Apply(in, seq+1)
	}
	if n := u.sizeOfCleared(); n > MaxAttributes || n < MaxAttributes-200 {
		t.Errorf("%d bytes of names are kept, want up to %d", n, MaxAttributes)
	}
}
