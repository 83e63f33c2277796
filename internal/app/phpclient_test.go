package app_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"usersync/internal/event"
	"usersync/internal/identity"
	"usersync/internal/tenant"
	"usersync/internal/user"
)

// raw sends a request as it stands, with line ends as HTTP has them and the length of the
// body, and returns the answer.
func raw(t *testing.T, address, head, body string) (*http.Response, string) {
	t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(address, "http://"))
	must(t, err)
	defer func() { _ = c.Close() }()
	must(t, c.SetDeadline(time.Now().Add(30*time.Second)))
	head = strings.ReplaceAll(strings.TrimSpace(head), "\n", "\r\n")
	_, err = fmt.Fprintf(c, "%s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", head, len(body), body)
	must(t, err)
	answer, err := http.ReadResponse(bufio.NewReader(c), nil)
	must(t, err)
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	must(t, err)
	return answer, string(text)
}

// created is how PHP clients of this API find the number of what they made.
var created = regexp.MustCompile(`(?i)X-Created:\s?(\d+)`)

// The examples of the API that this dialect is compatible with are sent byte by byte, and
// what PHP's http_build_query and json_encode make of arrays. (The examples' Content-Length
// is that of other bodies; clients compute it.)
func TestAClientInPHPWorksUnchanged(t *testing.T) {
	t.Parallel()
	each(t, 10, func(t *testing.T, n customer) {
		_, key, err := tenant.CreateKey(t.Context(), n.app.Store, "test", n.org.ID, tenant.Key{Name: "php", Scopes: []tenant.Scope{tenant.ScopeEvents}})
		must(t, err)
		org := n.app.Store.Org(n.org.ID)
		const jsonHead = "POST /v4/events/user/update HTTP/1.1\nHost: api.copernica.com\nAuthorization: Bearer %s\nContent-Type: application/json"
		const formHead = "POST /v4/events/user/%s HTTP/1.1\nHost: api.copernica.com\nAuthorization: Bearer %s\nContent-Type: application/x-www-form-urlencoded"
		for _, c := range []struct {
			name, head, body string
			attributes       string
		}{
			{"the example with JSON", fmt.Sprintf(jsonHead, key.Reveal()),
				"{\n    \"email\": \"john.doe@example.com\",\n    \"firstname\": \"John\",\n    \"lastname\": \"Doe\"\n}",
				`{"firstname":"John","lastname":"Doe"}`},
			{"the example with a form", fmt.Sprintf(formHead, "update", key.Reveal()),
				"email=john.doe@example.com&firstname=John&lastname=Doe", `{"firstname":"John","lastname":"Doe"}`},
			// The class puts a slash between the version and a path that begins with one.
			{"the example in PHP", strings.Replace(fmt.Sprintf(jsonHead, key.Reveal()), "/v4/", "/v4//", 1),
				`{"email":"john.doe@example.com","firstname":"John","lastname":"Doe"}`, `{"firstname":"John","lastname":"Doe"}`},
			// json_encode escapes slashes and what is not ASCII.
			{"json_encode", fmt.Sprintf(jsonHead, key.Reveal()),
				`{"email":"john.doe@example.com","firstname":"Ren\u00e9e","url":"https:\/\/example.com\/","tags":["a","b"],"none":null,"size":42,"vip":true}`,
				`{"firstname":"Renée","none":null,"size":42,"tags":["a","b"],"url":"https://example.com/","vip":true}`},
			// http_build_query([... 'data' => ['size' => 42, 'fit' => ['waist' => '30"']], 'tags' => ['a', 'b c'], 'vip' => true, 'off' => false, 'none' => null, 'empty' => ''])
			{"http_build_query", fmt.Sprintf(formHead, "update", key.Reveal()),
				"email=john.doe%40example.com&firstname=Ren%C3%A9e&data%5Bsize%5D=42&data%5Bfit%5D%5Bwaist%5D=30%22&tags%5B0%5D=a&tags%5B1%5D=b+c&vip=1&off=0&tilde=%7E&empty=",
				`{"data":{"fit":{"waist":"30\""},"size":"42"},"empty":"","firstname":"Renée","off":"0","tags":["a","b c"],"tilde":"~","vip":"1"}`},
			{"http_build_query of a list of maps", fmt.Sprintf(formHead, "register", key.Reveal()),
				"email=john.doe%40example.com&orders%5B0%5D%5Bid%5D=7&orders%5B0%5D%5Bsku%5D=A&orders%5B1%5D%5Bid%5D=8",
				`{"orders":[{"id":"7","sku":"A"},{"id":"8"}]}`},
		} {
			answer, body := raw(t, n.app.Addr(), c.head, c.body)
			if answer.StatusCode != http.StatusCreated || body != "" {
				t.Errorf("%s: %s %s", c.name, answer.Status, body)
				continue
			}
			if created.FindString("X-Created: "+answer.Header.Get("X-Created")) == "" {
				t.Errorf("%s: a client does not find the number in %v", c.name, answer.Header)
			}
			e, err := event.Get(t.Context(), org, strings.TrimPrefix(answer.Header.Get("X-Location"), "/v1/events/"))
			must(t, err)
			if text, _ := json.Marshal(e.Attributes); string(text) != c.attributes {
				t.Errorf("%s: it is logged as %s, want %s", c.name, text, c.attributes)
			}
		}
		for _, c := range []struct{ name, head, body, want string }{
			{"no address", fmt.Sprintf(formHead, "update", key.Reveal()), "firstname=John", `400 {"error":{"message":"Missing parameter: email"}}`},
			{"no such token", fmt.Sprintf(formHead, "update", "your-access-token"), "email=john.doe%40example.com", `401 {"error":{"message":"Invalid access token"}}`},
		} {
			answer, body := raw(t, n.app.Addr(), c.head, c.body)
			if got := fmt.Sprintf("%d %s", answer.StatusCode, strings.TrimSpace(body)); got != c.want || answer.Header.Get("Content-Type") != "application/json" {
				t.Errorf("%s: %s as %s, want %s", c.name, got, answer.Header.Get("Content-Type"), c.want)
			}
		}
		answer, token := raw(t, n.app.Addr(), "POST /v4/authenticate HTTP/1.1\nHost: authenticate.copernica.com\nContent-Type: application/x-www-form-urlencoded", "access_token="+key.Reveal())
		if answer.StatusCode != http.StatusOK || strings.Count(token, ".") != 2 {
			t.Fatalf("%s %s", answer.Status, token)
		}
		if answer, body := raw(t, n.app.Addr(), fmt.Sprintf(formHead, "update", token), "email=john.doe%40example.com&lastname=Roe"); answer.StatusCode != http.StatusCreated {
			t.Errorf("with the token: %s %s", answer.Status, body)
		}
		n.quiet(t)
		email, err := identity.ParseEmail("john.doe@example.com")
		must(t, err)
		users, err := user.ByEmail(t.Context(), org, email)
		must(t, err)
		if len(users) != 1 || users[0].FirstName != "Renée" || users[0].LastName != "Roe" || users[0].Attributes["data.fit.waist"] != `30"` {
			t.Errorf("%+v", users)
		}
	})
}
