package ability

import (
	"cmp"
	"context"
	"regexp"
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

// FieldMaker is a connector whose platform lets contacts have another field. Platforms
// without one keep whatever is pushed under any name.
type FieldMaker interface {
	FieldLister
	// FieldRules are what the platform takes.
	FieldRules() FieldRules
	// MakeField makes a field that fits the rules; kind is the platform's word for its type.
	// An error has code rejected where the platform refuses it, as it does where there is
	// one of the name.
	MakeField(ctx context.Context, name, kind string) error
}

// FieldRules are what a platform takes of new fields.
type FieldRules struct {
	// Name matches the names that a mapping may call such a field; NameHelp says so in words
	// that follow "must be".
	Name     *regexp.Regexp
	NameHelp string
	// Types are the platform's words for types of fields, as Fields has them.
	Types map[FieldType]string
}

// FieldType is what a field takes, in the words of this service.
type FieldType string

// The types of fields.
const (
	TypeText     FieldType = "text"
	TypeNumber   FieldType = "number"
	TypeDate     FieldType = "date"
	TypeDateTime FieldType = "datetime"
	TypeBoolean  FieldType = "boolean"
	TypePhone    FieldType = "phone"
)

// FieldMakerOf returns c as a FieldMaker, within the bounds.
func FieldMakerOf(c connector.Connector) (FieldMaker, bool) {
	m, ok := of[FieldMaker](c)
	return boundMaker{boundLister{m}, m}, ok
}

type boundMaker struct {
	boundLister
	maker FieldMaker
}

func (b boundMaker) FieldRules() FieldRules { return b.maker.FieldRules() }

func (b boundMaker) MakeField(ctx context.Context, name, kind string) error {
	_, err := connector.Bounded(nil, b.maker.MakeField(ctx, name, kind))
	return err
}
