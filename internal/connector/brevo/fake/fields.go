package fake

import (
	"encoding/json"
	"net/http"
	"regexp"
	"slices"

	"usersync/internal/connector/fakeplatform"
)

// kinds are types of attributes.
var kinds = []string{"text", "date", "float", "boolean", "multiple-choice"}

var attributeName = regexp.MustCompile(`^[A-Z0-9_]+$`)

func (f *Fake) makeAttribute(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Type string `json:"type"`
	}
	name := r.PathValue("name")
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil || r.PathValue("category") != "normal" || !attributeName.MatchString(name) || !slices.Contains(kinds, in.Type) {
		invalid(w, "The attribute is not valid")
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.attribute[name] != "" {
		fakeplatform.Answer(w, http.StatusBadRequest, problem{Code: "duplicate_parameter", Message: "Attribute name must be unique"})
		return
	}
	f.attribute[name] = in.Type
	w.WriteHeader(http.StatusCreated)
}
