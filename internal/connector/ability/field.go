package ability

import (
	"cmp"
	"context"
	"slices"

	"usersync/internal/connector"
	"usersync/internal/foreign"
)

// FieldLister is a connector whose platform can say what fields its contacts have.
type FieldLister interface {
	// Fields returns the fields that a mapping of the settings may name.
	Fields(ctx context.Context) ([]Field, error)
}

// Field is a field of a platform's contacts.
type Field struct {
	// Name is what a mapping calls it.
	Name string `json:"name"`
	// Label is what the platform shows people.
	Label string `json:"label"`
	// Type is the platform's own word for what the field takes.
	Type string `json:"type"`
	// Source is what the connection writes into it; "" for nothing.
	Source string `json:"source"`
}

// maxFields bounds what is passed on of a platform's fields.
const maxFields = 2000

// FieldListerOf returns c as a FieldLister, within the bounds and sorted by name.
func FieldListerOf(c connector.Connector) (FieldLister, bool) {
	l, ok := of[FieldLister](c)
	return boundLister{l}, ok
}

type boundLister struct{ FieldLister }

func (b boundLister) Fields(ctx context.Context) ([]Field, error) {
	list, err := b.FieldLister.Fields(ctx)
	if err != nil {
		_, err = connector.Bounded(nil, err)
		return nil, err
	}
	list = slices.DeleteFunc(list, func(f Field) bool { return f.Name == "" || !foreign.Fits(f.Name, connector.MaxName) })
	slices.SortFunc(list, func(a, b Field) int { return cmp.Compare(a.Name, b.Name) })
	list = list[:min(len(list), maxFields)]
	for i, f := range list {
		list[i].Label, list[i].Type = foreign.Fit(f.Label, connector.MaxName), foreign.Fit(f.Type, connector.MaxName)
	}
	return list, nil
}
