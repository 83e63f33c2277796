package connectortest

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"usersync/internal/connector"
	"usersync/internal/connector/fakeplatform"
	"usersync/internal/usersync"
)

// The attributes that the cases of values send.
const (
	suiteText   = "suiteText"
	suiteNumber = "suiteNumber"
	suitePhone  = "suitePhone"
	suiteDate   = "suiteDate"
	suiteList   = "suiteList"
)

// mapped opens a connection that maps the attributes of these cases to the fields that
// the fake tells of. A platform that gets all attributes needs no mapping.
func (f *fixture) mapped() fakeplatform.Fields {
	f.Helper()
	fields := f.fielded()
	f.mapTo(fields, map[string]string{fields.Text: suiteText, fields.Number: suiteNumber, fields.Phone: suitePhone})
	return fields
}

func (f *fixture) fielded() fakeplatform.Fields {
	f.Helper()
	fielded, ok := f.Fake.(fakeplatform.Fielded)
	if !ok {
		f.Fatal("the fake must be a fakeplatform.Fielded")
	}
	return fielded.Fields()
}

// mapTo opens a connection that maps attributes to fields.
func (f *fixture) mapTo(fields fakeplatform.Fields, attributes map[string]string) {
	f.Helper()
	values := map[string]any{}
	if err := json.Unmarshal(f.Fake.Config().Settings, &values); err != nil {
		f.Fatal(err)
	}
	if f.suite.StatusOnly { // takes attributes by their own names
		values[fields.Setting] = slices.Sorted(maps.Values(attributes))
	} else {
		mapping, _ := values[fields.Setting].(map[string]any)
		if mapping == nil {
			mapping = map[string]any{}
		}
		for field, attribute := range attributes {
			if field != "" {
				mapping[field] = "attributes." + attribute
			}
		}
		values[fields.Setting] = mapping
	}
	settings := JSON(f, values)
	f.config = f.Config(settings)
	f.config.Facts = f.Check(settings)
	f.connector = f.open(f.config, f.client)
}

// keepsDigits sends a whole number that no float64 holds, alone and in a batch.
func keepsDigits(f *fixture) {
	fields := f.mapped()
	const exact, shifted = "9007199254740993", "4.42071838750e11"
	for _, n := range []int{1, max(2, f.suite.JobOf)} {
		people := People(f, min(n, f.Kind.Batch))
		people[0] = Ada(f)
		for i := range people {
			people[i].Attributes = map[string]any{suiteNumber: json.Number(exact), suiteText: json.Number(shifted)}
		}
		for i, r := range f.bring(people...) {
			if !arrived(r) {
				f.Errorf("of %d, person %d: %+v, %v", n, i, r, r.Err)
			}
		}
		one := f.Held(people[0])
		for field, want := range map[string]string{fields.Number: exact, fields.Text: "442071838750"} {
			if got := held(one, field); field != "" && got != want && got != shifted {
				f.Errorf("of %d: %s holds %s, want %s", n, field, got, want)
			}
		}
	}
}

// held is a value as a text, whichever type the platform keeps it in. A field may stand
// in an object: "properties.plan".
func held(one fakeplatform.Person, field string) string {
	return connector.Text(heldValue(one, field))
}

func heldValue(one fakeplatform.Person, field string) any {
	if v, ok := one.Fields[field]; ok {
		return v
	}
	var value any = one.Fields
	for _, part := range strings.Split(field, ".") {
		inner, ok := value.(map[string]any)
		if !ok {
			return nil
		}
		value = inner[part]
	}
	return value
}

// clears gives people values, and then clears some of them.
func clears(f *fixture) {
	fields := f.mapped()
	for _, n := range []int{1, max(2, f.suite.JobOf)} {
		people := People(f, min(n, f.Kind.Batch))
		for i := range people {
			people[i].Attributes = map[string]any{suiteText: "gold-7", suiteNumber: json.Number("12")}
		}
		f.remember(people)
		for i := range people {
			people[i].FirstName, people[i].Name = "", "Hopper"
			people[i].Attributes = map[string]any{}
			people[i].Cleared = []usersync.Field{usersync.FieldFirstName, usersync.Field("attributes." + suiteText), usersync.Field("attributes." + suiteNumber)}
		}
		// The last person says nothing of the number.
		last := len(people) - 1
		if n > 1 {
			people[last].Cleared = []usersync.Field{usersync.Field("attributes." + suiteText)}
			people[last].FirstName, people[last].Name = "Grace", "Grace Hopper"
		}
		for i, r := range f.remember(people) {
			if !arrived(r) {
				f.Errorf("of %d, person %d: %+v, %v", n, i, r, r.Err)
			}
		}
		one := f.Held(people[0])
		for _, field := range []string{fields.Text, fields.Number} {
			if got := held(one, field); field != "" && got != "" {
				f.Errorf("of %d: %s still holds %q", n, field, got)
			}
		}
		if says(one, "Grace") || !says(one, "Hopper") {
			f.Errorf("of %d: the first name is still there, or the last one is not: %+v", n, one.Fields)
		}
		if n > 1 && !f.suite.StatusOnly { // whose receiver gets all that is known each time
			if other := f.Held(people[last]); held(other, fields.Text) != "" || fields.Number != "" && held(other, fields.Number) != "12" || !says(other, "Grace") {
				f.Errorf("of %d: who cleared only the text has %+v", n, other.Fields)
			}
		}
	}
}

// leavesPhonesOut sends numbers as people write them, and what is none.
func leavesPhonesOut(f *fixture) {
	fields := f.mapped()
	if fields.Phone == "" {
		f.Skip("the platform has no telephone numbers")
	}
	for _, n := range []int{1, max(2, f.suite.JobOf)} {
		people := People(f, min(n, f.Kind.Batch))
		for i := range people { // every platform wants them to be of one person each
			people[i].Attributes = map[string]any{suitePhone: "020 7946 0" + []string{"1", "2"}[min(n-1, 1)] + string(rune('0'+i/10)) + string(rune('0'+i%10))}
		}
		bad := len(people) - 1
		if n > 1 {
			people[bad].Attributes[suitePhone] = "ask the office"
		}
		preview := f.preview(people[bad])
		results := f.bring(people...)
		for i, r := range results {
			if !arrived(r) {
				f.Errorf("of %d, person %d: %+v, %v", n, i, r, r.Err)
			}
		}
		if n == 1 {
			if got := held(f.Held(people[0]), fields.Phone); got != "+442079460100" {
				f.Errorf("%s holds %q", fields.Phone, got)
			}
			continue
		}
		if got := held(f.Held(people[bad]), fields.Phone); got != "" {
			f.Errorf("%s holds %q", fields.Phone, got)
		}
		if !strings.Contains(results[bad].Details, "was left out") || !strings.Contains(preview.Details, "would be left out") || strings.Contains(results[0].Details, "left out") {
			f.Errorf("the push says %q and %q, the preview %q", results[0].Details, results[bad].Details, preview.Details)
		}
	}
}

// writesDatesAndLists sends a day, a moment and a list, alone and in a batch, and what is no
// date to a field that takes nothing else.
func writesDatesAndLists(f *fixture) {
	fields := f.fielded()
	f.mapTo(fields, map[string]string{fields.Date: suiteDate, fields.List: suiteList})
	list := []any{"gold", "new"}
	for _, n := range []int{1, max(3, f.suite.JobOf)} {
		people := People(f, min(n, f.Kind.Batch))
		for i := range people {
			people[i].Attributes = map[string]any{suiteDate: "2026-03-04T10:30:00+02:00", suiteList: list}
		}
		people[0].Attributes[suiteDate] = "2026-03-04"
		last := len(people) - 1
		if n > 1 && !fields.AnyDate {
			people[last].Attributes[suiteDate] = "soon"
		}
		results := f.bring(people...)
		for i, r := range results {
			if !arrived(r) {
				f.Errorf("of %d, person %d: %+v, %v", n, i, r, r.Err)
			}
		}
		f.wantHeld(people[0], fields.Date, fields.Day)
		f.wantHeld(people[0], fields.List, fields.Several)
		if n == 1 {
			continue
		}
		f.wantHeld(people[1], fields.Date, fields.Moment)
		f.wantHeld(people[1], fields.List, fields.Several)
		if !fields.AnyDate && !strings.Contains(results[last].Details, "was left out, as it is no date") {
			f.Errorf("of what is no date it says %q", results[last].Details)
		}
	}
}

// wantHeld fails unless a field of a person holds a value, by its JSON.
func (f *fixture) wantHeld(p connector.Profile, field string, want any) {
	f.Helper()
	if got := JSON(f, heldValue(f.Held(p), field)); got != JSON(f, want) {
		f.Errorf("%s holds %s, want %s", field, got, JSON(f, want))
	}
}
