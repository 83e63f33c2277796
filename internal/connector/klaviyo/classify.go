package klaviyo

import (
	"cmp"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"usersync/internal/connector"
	"usersync/internal/usersync"
)

// fault is one entry of the errors that every refusal carries.
type fault struct {
	Code   string `json:"code"`
	Title  string `json:"title"`
	Detail string `json:"detail"`
	Source struct {
		Pointer string `json:"pointer"`
	} `json:"source"`
	Meta struct {
		Duplicate string `json:"duplicate_profile_id"`
	} `json:"meta"`
}

func (f fault) said() string { return cmp.Or(f.Detail, f.Title, f.Code) }

// faultsOf reads the errors of an answer. An answer that is not a refusal of Klaviyo's
// own has none.
func faultsOf(r *connector.Response) []fault {
	var body struct {
		Errors []fault `json:"errors"`
	}
	if r == nil || json.Unmarshal(r.Body, &body) != nil {
		return nil
	}
	return body.Errors
}

// duplicateOf returns the id of the profile that a 409 names as the one that is meant.
func duplicateOf(r *connector.Response) string {
	if r == nil || r.Status != http.StatusConflict {
		return ""
	}
	for _, f := range faultsOf(r) {
		if f.Code == "duplicate_profile" && f.Meta.Duplicate != "" {
			return f.Meta.Duplicate
		}
	}
	return ""
}

// classify says what a refusal means. The status decides, and Klaviyo's first error
// explains. 410 is the answer to a revision that has been retired.
func classify(r *connector.Response) *usersync.Error {
	said := ""
	if faults := faultsOf(r); len(faults) > 0 {
		said = faults[0].said()
	}
	e := connector.Classify(r, said)
	if e == nil {
		return nil
	}
	if r.Status == http.StatusGone {
		e.Code = usersync.CodeDisconnected
	}
	return e
}

// noList gives the refusal of a call for the list that it names its meaning. A list that a
// check has seen is the connection's, and any other one is the call's.
func (k *klaviyo) noList(response *connector.Response, err error) error {
	if k.settings.List == "" || !connector.NotFound(response) && !aboutList(response) {
		return err
	}
	return k.facts.Gone("list", k.settings.List, "Klaviyo has no list '"+k.facts.NameOf("list", k.settings.List)+"'.")
}

// aboutList reports whether a job was refused for its list.
func aboutList(r *connector.Response) bool {
	return slices.ContainsFunc(faultsOf(r), func(f fault) bool {
		return strings.HasPrefix(f.Source.Pointer, "/data/relationships/lists")
	})
}

// guilty returns which of n profiles a job was refused for, with Klaviyo's words.
func guilty(response *connector.Response, n int) map[int]string {
	out := map[int]string{}
	for _, f := range faultsOf(response) {
		if i := position(f.Source.Pointer, n); i >= 0 {
			out[i] = f.said()
		}
	}
	return out
}

// position returns which profile of a job a pointer is about, such as
// /data/attributes/profiles/data/3/attributes/email. It returns -1 if the pointer
// names none of n profiles.
func position(pointer string, n int) int {
	_, rest, ok := strings.Cut(pointer, "/profiles/data/")
	if !ok {
		return -1
	}
	number, _, _ := strings.Cut(rest, "/")
	i, err := strconv.Atoi(number)
	if err != nil || i < 0 || i >= n {
		return -1
	}
	return i
}
