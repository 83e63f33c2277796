package connector_test

import (
	"encoding/json"
	"maps"
	"testing"

	"usersync/internal/connector"
	"usersync/internal/usersync"
)

func TestANumberIsWrittenWithAllItsDigitsAndNoExponent(t *testing.T) {
	t.Parallel()
	for number, want := range map[string]string{
		"0": "0", "-7": "-7", "12.50": "12.50", "9007199254740993": "9007199254740993", "442071838750": "442071838750",
		"4.42071838750e11": "442071838750", "1E3": "1000", "-1.5e-3": "-0.0015", "123456789012345678901234567890": "123456789012345678901234567890",
		"1e0": "1", "0e5": "0", "1.25e1": "12.5",
	} {
		if got := connector.Text(json.Number(number)); got != want {
			t.Errorf("%s is written %s, want %s", number, got, want)
		}
	}
}

func TestAClearedFieldHasNothingAndAnUnknownOneIsLeftOut(t *testing.T) {
	t.Parallel()
	m := connector.Mapping{"A": "firstName", "B": "lastName", "C": "name", "D": "attributes.plan", "E": "attributes.seats", "F": "jobTitle"}
	got := m.Values(connector.Profile{
		LastName: "Lovelace", Attributes: map[string]any{"seats": json.Number("3")},
		Cleared: []usersync.Field{"firstName", "lastName", "attributes.plan", "attributes.unmapped"},
	})
	// A last name that came after it was cleared counts.
	want := map[string]any{"A": nil, "B": "Lovelace", "C": nil, "D": nil, "E": json.Number("3")}
	if !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
