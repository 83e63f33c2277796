package connectors_test

import (
	"net/http"
	"strings"
	"testing"
	"time"
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

// FuzzReceive has every platform's webhook tell anything, to a connection that verifies
// nothing where that is allowed. It is refused or tells of somebody.
func FuzzReceive(f *testing.F) {
	for _, body := range []string{
		"", "null", "[]", "[null]", "{", `"x"`, `[{"email":"ada@example.com","event":"unsubscribe","timestamp":1769904000}]`,
		"type=unsubscribe&fired_at=2026-02-01+00%3A00%3A00&data[email]=ada%40example.com&data[list_id]=a1",
		"type=unsubscribe&date_time=2026-02-01T00%3A00%3A00Z&contact[email]=ada%40example.com&list=0", "type=%zz",
		`{"event":"unsubscribed","email":"ada@example.com","list_id":[1e9],"ts_event":-9223372036854775808}`,
		`[{"objectId":1,"subscriptionType":"contact.propertyChange","propertyName":"hs_email_optout","propertyValue":"true","occurredAt":99999999999999999}]`,
		`{"data":[{"external_id":"x","payload":{"data":{"attributes":{"datetime":"x"}}}}]}`,
	} {
		f.Add(body, "t=1,v1=00")
	}
	at := time.Date(2026, time.February, 1, 0, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, body, signature string) {
		header := http.Header{}
		for _, name := range []string{"Authorization", "X-Mailchimp-Signature", "X-HubSpot-Signature-v3", "Klaviyo-Signature", "X-CIO-Signature"} {
			header.Set(name, signature)
		}
		for _, k := range connectors.Platforms {
			told, err := k.Receive(connector.Config{}, connector.InboundCall{Method: http.MethodPost, URLs: []string{"https://usersync.example.com/"}, Header: header, Body: []byte(body), At: at})
			switch code := usersync.CodeOf(err); {
			case err == nil:
			case code != usersync.CodeUnauthorized && code != usersync.CodeInvalid && code != usersync.CodeNotFound:
				t.Errorf("%s: %v", k.Name, err)
			case len(told) > 0:
				t.Errorf("%s: is refused and tells %+v", k.Name, told)
			}
			for _, s := range told {
				if s.Email+s.UserID+s.Remote == "" || s.Channel == "" || s.Status == "" {
					t.Errorf("%s: tells of nobody, or nothing: %+v", k.Name, s)
				}
			}
		}
	})
}
