package connectortest

import (
	"slices"

	"usersync/internal/connector/ability"
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
