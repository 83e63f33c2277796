package connector_test

import (
	"encoding/json"
	"maps"
	"slices"
	"testing"

	"usersync/internal/connector"
)

func TestPhonesAreOfOneFormOrTakenOut(t *testing.T) {
	t.Parallel()
	values := map[string]any{"A": "020 7946 0100", "B": json.Number("442079460101"), "C": "call me", "D": "020 7946 0102", "E": nil, "F": true}
	left := connector.Phones(values, connector.Profile{Country: "GB"}, func(field string) bool { return field != "D" })
	want := map[string]any{"A": "+442079460100", "B": "+442079460101", "D": "020 7946 0102", "E": nil}
	if !maps.Equal(values, want) {
		t.Errorf("got %v, want %v", values, want)
	}
	if len(left) != 2 || !slices.IsSortedFunc(left, func(a, b connector.LeftOut) int { return int(a.Field[0]) - int(b.Field[0]) }) || left[0].Field != "C" {
		t.Errorf("left out are %+v", left)
	}
}
