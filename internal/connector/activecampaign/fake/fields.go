package fake

import (
	"encoding/json"
	"net/http"
	"regexp"
	"slices"
	"strconv"

	"usersync/internal/connector/fakeplatform"
)

// perstag matches personalisation tags.
var perstag = regexp.MustCompile(`^[A-Z0-9_]+$`)

// kinds are types of fields.
var kinds = []string{"text", "textarea", "date", "datetime", "checkbox", "dropdown", "hidden", "listbox", "radio"}

func (f *Fake) makeField(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Field struct {
			Type  string `json:"type"`
			Title string `json:"title"`
			Tag   string `json:"perstag"`
		} `json:"field"`
	}
	in := &body.Field
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil || in.Title == "" || !perstag.MatchString(in.Tag) || !slices.Contains(kinds, in.Type) {
		invalid(w, "The field is not valid.", "field_invalid", "/data/attributes/type")
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, one := range f.fields {
		if one.tag == in.Tag {
			invalid(w, "The personalization tag is taken.", "duplicate", "/data/attributes/perstag")
			return
		}
	}
	id := strconv.Itoa(100 + len(f.fields))
	f.fields[id] = field{in.Title, in.Tag, in.Type}
	fakeplatform.Answer(w, http.StatusCreated, map[string]any{"field": map[string]any{"id": id, "title": in.Title, "perstag": in.Tag, "type": in.Type}})
}

// relateField shows a field with a list, or with all.
func (f *Fake) relateField(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Relation struct {
			Field string `json:"field"`
			List  string `json:"relid"`
		} `json:"fieldRel"`
	}
	err := json.NewDecoder(r.Body).Decode(&body)
	f.mu.Lock()
	_, known := f.fields[body.Relation.Field]
	f.mu.Unlock()
	if err != nil || !known || body.Relation.List != "0" && body.Relation.List != List {
		invalid(w, "The related field does not exist.", "related_missing", "/data/attributes/field")
		return
	}
	fakeplatform.Answer(w, http.StatusCreated, map[string]any{"fieldRel": body.Relation})
}
