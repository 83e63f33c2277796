package brevo_test

import (
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"

	"usersync/internal/connector/brevo"
	"usersync/internal/outbound"
)

// FuzzClassify: whatever a platform says has a meaning and is fit to be shown.
func FuzzClassify(f *testing.F) {
	for _, body := range []string{
		"", "null", "[]", `"x"`, "{", `{"message":null}`, `{"message":"for ada@example.com\nand more"}`, `{"errors":[null,{"message":"x"}]}`,
		`{"category":"VALIDATION_ERROR","message":"not valid: [{\"message\":\"x\"}]"}`, `{"meta":{"error":"x","errors":["y"]}}`,
	} {
		f.Add(400, body)
		f.Add(429, body)
		f.Add(500, body)
	}
	f.Fuzz(func(t *testing.T, status int, body string) {
		if status < 300 || status > 599 {
			t.Skip()
		}
		e := brevo.Kind.Classify(&outbound.Response{Status: status, Header: http.Header{}, Body: []byte(body)})
		if e == nil || e.Code == "" || e.Message == "" {
			t.Fatalf("%d means nothing: %+v", status, e)
		}
		if utf8.RuneCountInString(e.Message) > 301 || strings.ContainsAny(e.Message, "\n\r") {
			t.Errorf("is not fit to be shown: %q", e.Message)
		}
		if strings.Contains(e.Message, "ada@example.com") {
			t.Error("an address is shown")
		}
	})
}
