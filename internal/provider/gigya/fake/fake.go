// Package fake is a site of SAP Customer Data Cloud as far as look-ups see it: it answers
// 200 whatever happens, and says in errorCode what.
package fake

import (
	"encoding/json"
	"net/http"
	"strings"

	"usersync/internal/provider/fakeprovider"
)

// What the fake takes.
const (
	APIKey  = "3_fakeFakeFakeFake"
	UserKey = "FakeUserKey"
	Secret  = "fake-secret-of-a-gigya-application"
)

// Server is the fake. Make it by New.
type Server struct{ fakeprovider.Base }

// New returns a site without users.
func New() *Server { return &Server{} }

const (
	before = `SELECT UID,profile,data,isActive,isVerified FROM accounts WHERE profile.email = "`
	behind = `" LIMIT 5`
)

// ServeHTTP answers as the site.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.Hit(w, r) {
		return
	}
	switch {
	case r.Method != http.MethodPost || !strings.HasSuffix(r.URL.Path, "/accounts.search") || r.ParseForm() != nil:
		fail(w, 400093, "Invalid API method")
	case r.PostForm.Get("apiKey") != APIKey:
		fail(w, 400093, "Invalid ApiKey parameter")
	case r.PostForm.Get("userKey") != UserKey || r.PostForm.Get("secret") != Secret:
		fail(w, 403005, "Unauthorized user")
	default:
		s.search(w, r.PostForm.Get("query"))
	}
}

func (s *Server) search(w http.ResponseWriter, query string) {
	s.Note(query)
	address, ok := unquote(query)
	if !ok {
		fail(w, 400006, "Invalid parameter value: query")
		return
	}
	list := []map[string]any{}
	for _, u := range s.Users(func(u fakeprovider.User) bool { return u.Email == address }) {
		profile := map[string]any{"email": u.Email, "firstName": u.FirstName, "lastName": u.LastName}
		for name, value := range u.More {
			profile[name] = value
		}
		data, _ := profile["data"].(map[string]any)
		delete(profile, "data")
		list = append(list, map[string]any{"UID": u.ID, "profile": profile, "data": data, "isVerified": u.Verified, "isActive": !u.Blocked})
	}
	answer(w, map[string]any{"callId": "fake", "errorCode": 0, "statusCode": 200, "statusReason": "OK", "results": list, "objectsCount": len(list), "totalCount": len(list)})
}

// unquote returns the address of a query. Whatever ends the text early makes it none.
func unquote(query string) (string, bool) {
	text, ok := strings.CutPrefix(query, before)
	if !ok {
		return "", false
	}
	if text, ok = strings.CutSuffix(text, behind); !ok {
		return "", false
	}
	var out strings.Builder
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '"':
			return "", false
		case '\\':
			if i++; i == len(text) {
				return "", false
			}
		}
		out.WriteByte(text[i])
	}
	return out.String(), true
}

func fail(w http.ResponseWriter, code int, message string) {
	answer(w, map[string]any{"callId": "fake", "errorCode": code, "errorMessage": message, "statusCode": code / 1000, "statusReason": "Error"})
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	_ = json.NewEncoder(w).Encode(v)
}
