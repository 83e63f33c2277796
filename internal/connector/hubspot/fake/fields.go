package fake

import (
	"encoding/json"
	"net/http"
	"regexp"
)

// shows are how properties of a type are shown.
var shows = map[string]string{"string": "text", "number": "number", "date": "date", "datetime": "date", "bool": "booleancheckbox"}

var propertyName = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)

func (f *Fake) makeProperty(w http.ResponseWriter, r *http.Request) {
	var in struct {
		property
		Group string `json:"groupName"`
		Label string `json:"label"`
	}
	err := json.NewDecoder(r.Body).Decode(&in)
	wrong := in.Type == "" || shows[in.Type] != in.FieldType || in.Group != "contactinformation" || in.Label == "" || !propertyName.MatchString(in.Name)
	if err != nil || wrong || in.Type == "bool" && len(in.Options) != 2 {
		refuse(w, http.StatusBadRequest, problem{Category: "VALIDATION_ERROR", Message: "The property is not valid."})
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, taken := f.properties[in.Name]; taken {
		refuse(w, http.StatusConflict, problem{Category: "OBJECT_ALREADY_EXISTS", Message: "A property named '" + in.Name + "' already exists."})
		return
	}
	f.properties[in.Name] = in.property
	answer(w, http.StatusCreated, in.property)
}
