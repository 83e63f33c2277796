package usersync

import (
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
