package scim

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"

	"usersync/internal/api"
	"usersync/internal/provision"
	"usersync/internal/scim"
)

const (
	// maxCount is how many resources a page has, at most and where nothing is said.
	maxCount = 100
	// maxPage bounds the resources of a page in bytes of JSON. A page that would be longer
	// ends early. Its first resource may be longer.
	maxPage = 1 << 20
)

// list is a page of resources (RFC 7644 §3.4.2).
type list struct {
	Schemas      []string          `json:"schemas"`
	TotalResults int               `json:"totalResults"`
	StartIndex   int               `json:"startIndex"`
	ItemsPerPage int               `json:"itemsPerPage"`
	Resources    []json.RawMessage `json:"Resources"`
}

// query reads what a list is asked for.
func query(c *api.Call, t *scim.Type) (q provision.Query, err error) {
	values, err := c.Query()
	if err != nil {
		return q, err
	}
	q.Start, q.Count = 1, maxCount
	if text := values.Get("startIndex"); text != "" {
		if q.Start, err = strconv.Atoi(text); err != nil {
			return q, scim.Refuse(scim.InvalidValue, "startIndex must be a whole number")
		}
		q.Start = max(q.Start, 1)
	}
	if text := values.Get("count"); text != "" {
		if q.Count, err = strconv.Atoi(text); err != nil {
			return q, scim.Refuse(scim.InvalidValue, "count must be a whole number")
		}
		q.Count = min(max(q.Count, 0), maxCount)
	}
	if text := values.Get("filter"); text != "" {
		q.Filter, err = t.ParseFilter(text)
	}
	return q, err
}

// answerList answers with a page. resources are what is shown of each.
func answerList(c *api.Call, total, start int, resources []map[string]any) error {
	out := list{Schemas: []string{scim.ListSchema}, TotalResults: total, StartIndex: start, Resources: []json.RawMessage{}}
	size := 0
	for _, r := range resources {
		text, err := json.Marshal(r)
		if err != nil {
			return fmt.Errorf("encode a resource: %w", err)
		}
		if size += len(text); size > maxPage && len(out.Resources) > 0 {
			break
		}
		out.Resources = append(out.Resources, text)
	}
	out.ItemsPerPage = len(out.Resources)
	return answer(c, http.StatusOK, out)
}
