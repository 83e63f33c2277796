package fake

import (
	"encoding/json"
	"maps"
	"net/http"
	"regexp"
	"slices"
)

// kinds are types of fields.
var kinds = []string{"integer", "float", "date", "empty_date", "datetime", "empty_datetime", "text", "email", "phone", "phone_fax", "phone_gsm", "select", "big"}

var fieldName = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

// names are those of the fields of the database.
func (f *Fake) names() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append(slices.Clone(fields), slices.Sorted(maps.Keys(f.made))...)
}

// kind is the type of a field that was made.
func (f *Fake) kind(name string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.made[name]
}

func (f *Fake) makeField(w http.ResponseWriter, r *http.Request) {
	if !known(w, r) {
		return
	}
	var in struct {
		Name string `json:"name"`
		Type string `json:"type"`
	}
	err := json.NewDecoder(r.Body).Decode(&in)
	switch {
	case err != nil || !fieldName.MatchString(in.Name) || !slices.Contains(kinds, in.Type):
		fail(w, "Invalid field")
		return
	case slices.Contains(f.names(), in.Name):
		fail(w, "There is already a field with this name")
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.made[in.Name] = in.Type
	w.Header().Set("X-Created", "21999")
	w.WriteHeader(http.StatusCreated)
}
