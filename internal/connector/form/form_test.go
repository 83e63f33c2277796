package form_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"usersync/internal/connector/form"
)

func TestDatesAreWrittenInEveryForm(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][]any{
		"2026-03-04":                {"2026-03-04", "03/04", "2026-03-04T00:00:00Z", "2026-03-04 00:00:00", int64(1772582400), "2026-03-04"},
		"2026-03-04T10:30:00+02:00": {"2026-03-04", "03/04", "2026-03-04T08:30:00Z", "2026-03-04 08:30:00", int64(1772613000), "2026-03-04 08:30:00+00:00"},
		"2026-03-04T00:30:00+02:00": {"2026-03-04", "03/04", "2026-03-03T22:30:00Z", "2026-03-03 22:30:00", int64(1772577000), "2026-03-03 22:30:00+00:00"},
	} {
		d, ok := form.ParseDate(text)
		if got := []any{d.Day(), d.Birthday(), d.Moment(), d.Clock(), d.Unix(), d.DayOrClock()}; !ok || !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", text, got, want)
		}
	}
	for _, value := range []any{nil, "", "soon", "2026-02-30", "04/03/2026", json.Number("20260304"), true, []any{"2026-03-04"}} {
		if d, ok := form.ParseDate(value); ok {
			t.Errorf("%v is a date: %v", value, d)
		}
	}
}

func TestWhatIsNoDateLeavesTheFieldsOfDates(t *testing.T) {
	t.Parallel()
	values := map[string]any{"a": "2026-03-04", "b": "soon", "c": nil, "d": "soon", "text": "soon"}
	left := form.Dates(values, func(field string) func(form.Date) any {
		if field == "text" {
			return nil
		}
		return form.Date.Birthday
	})
	if len(left) != 2 || left[0].Field != "b" || left[1].Field != "d" || len(values) != 3 || values["a"] != "03/04" || values["text"] != "soon" {
		t.Errorf("%v, left %v", values, left)
	}
}

func TestAListHasItsTextsAndAValueIsAListOfOne(t *testing.T) {
	t.Parallel()
	for want, value := range map[string]any{"[]": nil, "[a b]": []any{"a", "b"}, "[12]": json.Number("1.2e1")} {
		if got := form.List(value); fmt.Sprint(got) != want {
			t.Errorf("%v: %q", value, got)
		}
	}
}
