package fake

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"
)

// fieldName matches names of custom fields.
var fieldName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,99}$`)

func (f *Fake) makeField(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Name string `json:"name"`
		Type string `json:"field_type"`
	}
	err := json.NewDecoder(r.Body).Decode(&in)
	end, known := map[string]string{"Text": "_T", "Number": "_N", "Date": "_D"}[in.Type]
	if err != nil || !known || !fieldName.MatchString(in.Name) {
		refuse(w, http.StatusBadRequest, about("name", "name or field_type is not valid"))
		return
	}
	_, taken := reserved[strings.ToLower(in.Name)]
	for _, name := range f.fields {
		taken = taken || strings.EqualFold(name, in.Name)
	}
	if taken {
		refuse(w, http.StatusBadRequest, about("name", "a field with this name exists"))
		return
	}
	id := fmt.Sprintf("e%d%s", len(f.fields)+1, end)
	f.fields[id] = in.Name
	write(w, http.StatusOK, map[string]any{"id": id, "name": in.Name, "field_type": in.Type, "_metadata": self("field_definitions/" + id)})
}
