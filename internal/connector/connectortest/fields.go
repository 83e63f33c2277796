package connectortest

import (
	"fmt"
	"slices"
	"strings"

	"usersync/internal/connector/ability"
	"usersync/internal/connector/fakeplatform"
	"usersync/internal/usersync"
)

// listsFields reads what a mapping may name: what the connection writes must be there.
func listsFields(f *fixture) {
	l, ok := ability.FieldListerOf(f.connector)
	if !ok {
		f.Skip("the platform does not say what fields it has")
	}
	list, err := l.Fields(f.Context())
	f.clean(err, list)
	if err != nil {
		f.Fatal(err)
	}
	// A platform whose answers are their status has only the fields that it is given.
	if !f.suite.StatusOnly && !slices.ContainsFunc(list, func(one ability.Field) bool { return one.Source == "firstName" }) {
		f.Errorf("nothing says where the first name goes: %+v", list)
	}
	for _, one := range list {
		if one.Name == "" || one.Type == "" {
			f.Errorf("%+v", one)
		}
	}
}

// makesFields makes a field of every type that the platform has. It is there then, takes
// what is mapped to it, and cannot be made again.
func makesFields(f *fixture) {
	m, ok := ability.FieldMakerOf(f.connector)
	if !ok {
		f.Skip("the platform has no fields to make")
	}
	rules, text := m.FieldRules(), ""
	for kind, theirs := range rules.Types {
		name := strings.ToUpper(fmt.Sprintf("S_%s", kind))
		if !rules.Name.MatchString(name) {
			name = strings.ToLower(name)
		}
		if kind == ability.TypeText {
			text = name
		}
		err := m.MakeField(f.Context(), name, theirs)
		f.clean(err, nil)
		if err != nil {
			f.Errorf("make %s of type %s: %v", name, theirs, err)
		}
		f.wantCode(m.MakeField(f.Context(), name, theirs), usersync.CodeRejected)
		list, err := m.Fields(f.Context())
		if err != nil || !slices.ContainsFunc(list, func(one ability.Field) bool { return one.Name == name && one.Type == theirs }) {
			f.Errorf("%s of type %s is missing: %+v, %v", name, theirs, list, err)
		}
	}
	ada := Ada(f)
	ada.Attributes = map[string]any{"suiteMade": "made-5e1c"}
	values := fields(f, f.config.Settings)
	mapping, _ := values[f.Fake.(fakeplatform.Fielded).Fields().Setting].(map[string]any)
	if mapping == nil {
		mapping = map[string]any{}
	}
	mapping[text] = "attributes.suiteMade"
	values[f.Fake.(fakeplatform.Fielded).Fields().Setting] = mapping
	f.connector = f.Open(JSON(f, values))
	f.bringOne(&ada)
	if !says(f.Held(ada), "made-5e1c") {
		f.Errorf("what is mapped to the new field has not arrived: %+v", f.Held(ada).Fields)
	}
}
