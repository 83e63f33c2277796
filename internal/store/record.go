package store

import (
	"fmt"
	"reflect"
)

// kinds are the column types of Go's.
var kinds = map[reflect.Kind]kind{reflect.String: Text, reflect.Int64: Bigint, reflect.Float64: Float}

// ColumnsOf returns the columns of a set of rows that are structs: one for each
// field, named by its tag `col`. Fields are string, int64 or float64.
func ColumnsOf[T any]() []Column {
	t := reflect.TypeFor[T]()
	columns := make([]Column, t.NumField())
	for i := range columns {
		f := t.Field(i)
		columnKind, ok := kinds[f.Type.Kind()]
		if !ok || f.Tag.Get("col") == "" {
			panic(fmt.Sprintf("store: the field %s of %s is no column", f.Name, t))
		}
		columns[i] = Col(f.Tag.Get("col"), columnKind)
	}
	return columns
}

// AddRecord appends a struct to a set of rows with the columns of its type.
func AddRecord[T any](r *Rows, record T) {
	v := reflect.ValueOf(record)
	values := make([]any, v.NumField())
	for i := range values {
		values[i] = v.Field(i).Interface()
	}
	r.values = append(r.values, values)
}

// Embedded reports whether statements run on a file of this process alone.
func (c Conn) Embedded() bool { return c.Engine == SQLite }
