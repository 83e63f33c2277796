package api

import (
	"bytes"
	"encoding/json"
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"usersync/internal/usersync"
)

// FuzzIdempotencyKey checks that what is taken is 1 to 255 visible characters,
// means the same quoted and bare, and that two keys are never one.
func FuzzIdempotencyKey(f *testing.F) {
	for _, seed := range []string{"k", `"k"`, ` "a b" `, `""`, `"`, "", "\x7f", "é", strings.Repeat("k", 256), `"a"b"`, "a\r\nb"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, sent string) {
		key, ok := parseIdempotencyKey([]string{sent})
		if !ok {
			if key != "" {
				t.Fatalf("%q is refused as %q", sent, key)
			}
			return
		}
		if len(key) < 1 || len(key) > maxIdempotencyKey || strings.IndexFunc(key, func(r rune) bool { return r <= ' ' || r > '~' }) >= 0 {
			t.Fatalf("%q is taken as %q", sent, key)
		}
		if again, ok := parseIdempotencyKey([]string{`"` + key + `"`}); !ok || again != key {
			t.Fatalf("%q is %q, quoted it is %q, %v", sent, key, again, ok)
		}
		if _, ok := parseIdempotencyKey([]string{sent, sent}); ok {
			t.Fatalf("%q is taken twice", sent)
		}
	})
}

// FuzzPrefer checks that a wait is whole seconds within the bound, and that what
// stands behind the first wait changes nothing.
func FuzzPrefer(f *testing.F) {
	for _, seed := range []string{"wait=10", `respond-async, WAIT = "7" ; x=y`, "wait=-1", "wait=99999999999", "wait", ",,;=", "wait=1,wait=2", "wait=+1", "wait=1_0"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		wait, ok := parsePrefer([]string{header})
		if wait < 0 || wait > MaxWait || wait%time.Second != 0 || !ok && wait != 0 {
			t.Fatalf("%q: %v, %v", header, wait, ok)
		}
		if !ok {
			return
		}
		if again, ok := parsePrefer([]string{header + ", wait=29"}); !ok || again != wait {
			t.Fatalf("%q: %v, with another behind it %v, %v", header, wait, again, ok)
		}
		if said, ok := parsePrefer([]string{"wait=" + strconv.Itoa(int(wait/time.Second))}); !ok || said != wait {
			t.Fatalf("%q: %v, said again %v", header, wait, said)
		}
	})
}

// FuzzPage checks that a page that is taken is within its bounds, that a cursor
// names an id of the list's own kind, and that the cursor of an item leads back
// to it.
func FuzzPage(f *testing.F) {
	id := usersync.NewID(usersync.PrefixRequest)
	for _, seed := range []string{
		"limit=10", "limit=0", "limit=501", "limit=+5", "limit=1e2", "cursor=" + cursorOf(id), "cursor=" + cursorOf(usersync.NewID(usersync.PrefixUser)),
		"cursor==", "cursor=%00", "cursor=" + id, "limit=5&limit=700", "cursor=\n" + cursorOf(id), "%zz", "limit=%ff",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, query string) {
		values, err := url.ParseQuery(query)
		if err != nil {
			return
		}
		p, err := (&Call{query: values}).Page(usersync.PrefixRequest)
		if err != nil {
			if usersync.CodeOf(err) != usersync.CodeInvalid {
				t.Fatalf("%q: %v", query, err)
			}
			return
		}
		if p.Limit < 1 || p.Limit > maxPage || p.Before != "" && !usersync.HasPrefix(p.Before, usersync.PrefixRequest) {
			t.Fatalf("%q is the page %+v", query, p)
		}
		if p.Before == "" {
			return
		}
		next := cursorOf(p.Before)
		again, err := (&Call{query: url.Values{"cursor": {next}}}).Page(usersync.PrefixRequest)
		if err != nil || again.Before != p.Before {
			t.Fatalf("the cursor of %q leads to %q, %v", p.Before, again.Before, err)
		}
	})
}

// everything holds a field of every sort that bodies have.
type everything struct {
	Text   string                       `json:"text"`
	Number float64                      `json:"number"`
	Whole  int8                         `json:"whole"`
	Truth  *bool                        `json:"truth"`
	List   [][]string                   `json:"list"`
	Named  map[string]int64             `json:"named"`
	Inner  *struct{ Deep *everything }  `json:"inner"`
	At     time.Time                    `json:"at"`
	Secret usersync.Secret              `json:"secret"`
	Others map[string]map[string]string `json:"others"`
}

// FuzzDecodeJSON checks what holds for any body: what is taken is JSON of known
// names in their exact spelling, as the standard library reads it; what is
// refused is refused as invalid, with a bounded number of faults that can be
// shown.
func FuzzDecodeJSON(f *testing.F) {
	for _, seed := range []string{
		`{}`, `null`, `[]`, `{"text":"a","number":1.5,"whole":-128,"truth":null,"list":[["a"],[]],"named":{"a":1}}`, `{"Text":"a"}`, `{"whole":128}`,
		`{"inner":{"Deep":{"inner":{"Deep":null}}}}`, `{"at":"2026-11-22T10:00:00Z","secret":"x"}`, `{"at":5}`, `{"text":"a","text":1}`, `{"whole":1e2}`,
		`{"number":1e999}`, `{"secret":{}}`, `{"text":"\ud800"}`, `{"named":{"a":9223372036854775808}}`, `{"others":{"":{"":""}}}`, "\xef\xbb\xbf{}", `{"a":1,"b":2}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var v everything
		err := DecodeJSON(body, &v)
		if err != nil {
			e := usersync.AsError(err)
			if e.Code != usersync.CodeInvalid || len(e.Fields) > maxWrong || !utf8.ValidString(e.Message) {
				t.Fatalf("%q: %v with %d faults", body, err, len(e.Fields))
			}
			return
		}
		strict := json.NewDecoder(bytes.NewReader(body))
		strict.DisallowUnknownFields()
		var again everything
		if err := strict.Decode(&again); err != nil {
			t.Fatalf("%q is taken, the standard library says %v", body, err)
		}
		var top map[string]json.RawMessage
		if err := json.Unmarshal(body, &top); err != nil {
			t.Fatalf("%q is taken and no object: %v", body, err)
		}
		for name := range top {
			if _, known := fieldsOf(reflect.TypeFor[everything]())[name]; !known {
				t.Fatalf("%q: the unknown name %q is taken", body, name)
			}
		}
	})
}
