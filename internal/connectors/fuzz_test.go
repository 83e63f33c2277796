package connectors_test

import (
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"

	"usersync/internal/connector"
	"usersync/internal/connectors"
	"usersync/internal/outbound"
	"usersync/internal/usersync"
)

// FuzzClassify makes every platform answer anything. The answer must have a meaning,
// and its message may be shown.
func FuzzClassify(f *testing.F) {
	for _, body := range []string{
		"", "null", "[]", `"x"`, "{", `{"message":null}`, `{"message":"for ada@example.com\nand more"}`, `{"errors":[null,{"message":"x"}]}`,
		`{"category":"VALIDATION_ERROR","message":"not valid: [{\"message\":\"x\"}]"}`, `{"meta":{"error":"x","errors":["y"]}}`,
		`{"errors":[{"title":"x","detail":"for ada@example.com"}],"failureReasons":[null]}`, `{"error":{"message":"Invalid access token"}}`,
		`{"title":"x","status":400,"detail":"for ada@example.com","errors":[{"field":"a","message":"b"}]}`,
	} {
		f.Add(400, body)
		f.Add(429, body)
		f.Add(500, body)
	}
	f.Fuzz(func(t *testing.T, status int, body string) {
		if status < 300 || status > 599 {
			t.Skip()
		}
		for _, k := range connectors.Platforms {
			if k.Classify == nil { // it goes by the status alone
				k.Classify = func(r *outbound.Response) *usersync.Error { return connector.Classify(r, "") }
			}
			e := k.Classify(&outbound.Response{Status: status, Header: http.Header{}, Body: []byte(body)})
			if e == nil || e.Code == "" || e.Message == "" {
				t.Fatalf("%s: %d means nothing: %+v", k.Name, status, e)
			}
			if utf8.RuneCountInString(e.Message) > 301 || strings.ContainsAny(e.Message, "\n\r") {
				t.Errorf("%s: is not fit to be shown: %q", k.Name, e.Message)
			}
			if strings.Contains(e.Message, "ada@example.com") {
				t.Errorf("%s: an address is shown", k.Name)
			}
		}
	})
}
