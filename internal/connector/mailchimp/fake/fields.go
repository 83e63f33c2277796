package fake

import (
	"encoding/json"
	"net/http"
	"regexp"
	"slices"
)

// kinds are types of merge fields.
var kinds = []string{"text", "number", "address", "phone", "date", "url", "imageurl", "radio", "dropdown", "birthday", "zip"}

var mergeTag = regexp.MustCompile(`^[A-Z0-9_]{1,10}$`)

func (f *Fake) makeField(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Tag  string `json:"tag"`
		Name string `json:"name"`
		Type string `json:"type"`
	}
	err := json.NewDecoder(r.Body).Decode(&in)
	if _, taken := f.fields[in.Tag]; err != nil || taken || in.Name == "" || !mergeTag.MatchString(in.Tag) || !slices.Contains(kinds, in.Type) {
		detail := "Your request did not pass validation."
		if taken {
			detail = "A Merge Field with the tag \"" + in.Tag + "\" already exists for this list."
		}
		f.refuse(w, problem{Type: problemType, Title: "Bad Request", Status: http.StatusBadRequest, Detail: detail})
		return
	}
	f.fields[in.Tag] = field{kind: in.Type}
	answer(w, map[string]any{"tag": in.Tag, "name": in.Name, "type": in.Type, "required": false, "list_id": r.PathValue("list")})
}
