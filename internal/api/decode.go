package api

import (
	"encoding"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"sync"
	"time"

	"usersync/internal/usersync"
)

// Decode fills v, a pointer to a struct, from the call's JSON body. It is for
// calls that are few, since it reads the body twice. Names must be spelt exactly,
// unknown ones are refused, and all wrong fields are reported at once. An empty
// body leaves v as it is.
func (c *Call) Decode(v any) error {
	body, err := c.Body()
	if err != nil || len(body) == 0 {
		return err
	}
	return DecodeJSON(body, v)
}

// DecodeJSON is Decode for a text.
func DecodeJSON(text []byte, v any) error {
	r := NewReader(text)
	if r.Kind() == KindNull {
		r.Wrong("must be an object")
	}
	r.check(reflect.TypeOf(v).Elem())
	if err := r.End(); err != nil {
		return err
	}
	err := json.Unmarshal(text, v)
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return Invalid(wrong.Field, "must be a "+wrong.Type.String())
	}
	if err != nil {
		return usersync.Errorf(usersync.CodeInvalid, "The body cannot be read.").Because(err)
	}
	return nil
}

var (
	timeType        = reflect.TypeFor[time.Time]()
	jsonUnmarshaler = reflect.TypeFor[json.Unmarshaler]()
	textUnmarshaler = reflect.TypeFor[encoding.TextUnmarshaler]()
)

// check reads the next value and notes where it does not fit t.
func (r *Reader) check(t reflect.Type) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if p := reflect.PointerTo(t); p.Implements(jsonUnmarshaler) || p.Implements(textUnmarshaler) {
		r.checkOwn(t)
		return
	}
	switch t.Kind() {
	case reflect.Struct:
		r.checkStruct(t)
	case reflect.Map:
		for range r.Object() {
			r.check(t.Elem())
		}
	case reflect.Slice, reflect.Array:
		for range r.Array() {
			r.check(t.Elem())
		}
	case reflect.String:
		r.Text()
	case reflect.Bool:
		r.Bool()
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		r.checkWhole(t)
	case reflect.Float32, reflect.Float64:
		r.Number()
	default:
		r.Skip()
	}
}

func (r *Reader) checkStruct(t reflect.Type) {
	fields := fieldsOf(t)
	for name := range r.Object() {
		field, ok := fields[name]
		if !ok {
			r.Wrong("is not a known field")
			continue
		}
		r.check(field)
	}
}

// checkWhole reads a number and notes whether it fits the integer type t.
func (r *Reader) checkWhole(t reflect.Type) {
	if !r.want(KindNumber, "must be a whole number") {
		return
	}
	text := r.Raw()
	if r.syntax == nil && json.Unmarshal(text, reflect.New(t).Interface()) != nil {
		r.Wrong("must be a whole number within range")
	}
}

// checkOwn reads a value whose type has a decoder of its own.
func (r *Reader) checkOwn(t reflect.Type) {
	text := r.Raw()
	if r.syntax != nil || json.Unmarshal(text, reflect.New(t).Interface()) == nil {
		return
	}
	if t == timeType || t == reflect.TypeFor[usersync.Time]() {
		r.Wrong("must be a time like 2026-11-22T10:00:00Z")
		return
	}
	r.Wrong("has a wrong type or value")
}

// knownFields holds, by type, what fieldsOf has returned: maps that nobody changes. There
// are as many as types of bodies.
var knownFields sync.Map

// fieldsOf returns the types of the JSON fields of a struct by name.
func fieldsOf(t reflect.Type) map[string]reflect.Type {
	if known, ok := knownFields.Load(t); ok {
		return known.(map[string]reflect.Type)
	}
	fields := readFields(t)
	knownFields.Store(t, fields)
	return fields
}

func readFields(t reflect.Type) map[string]reflect.Type {
	fields := map[string]reflect.Type{}
	for _, f := range reflect.VisibleFields(t) {
		tag := f.Tag.Get("json")
		name, _, _ := strings.Cut(tag, ",")
		switch {
		case !f.IsExported(), tag == "-", f.Anonymous && name == "":
			continue
		case name == "":
			name = f.Name
		}
		fields[name] = f.Type
	}
	return fields
}
