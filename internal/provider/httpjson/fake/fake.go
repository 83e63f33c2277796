// Package fake is a provider that settings describe: it authenticates in one of the ways,
// and answers {"data": {…}}, or 404, or an error in a 200.
package fake

import (
	"encoding/json"
	"net/http"
	"strings"

	"usersync/internal/provider/fakeprovider"
)

// What the fake takes.
const (
	Username = "fake-user"
	Secret   = "fake-secret-of-a-private-provider"
	Header   = "X-Fake-Key"
	token    = "fake-token-of-a-private-provider"
)

// Server is the fake. Make it by New.
type Server struct{ fakeprovider.Base }

// New returns a provider without users.
func New() *Server { return &Server{} }

// ServeHTTP answers as the provider.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.Hit(w, r) {
		return
	}
	user, password, basic := r.BasicAuth()
	basic = basic && user == Username && password == Secret
	if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/token") {
		if !basic || r.FormValue("grant_type") != "client_credentials" {
			answer(w, http.StatusUnauthorized, map[string]any{"error": "invalid_client"})
			return
		}
		answer(w, http.StatusOK, map[string]any{"access_token": token, "expires_in": 3600})
		return
	}
	if !basic && r.Header.Get(Header) != Secret && r.Header.Get("Authorization") != "Bearer "+token {
		answer(w, http.StatusUnauthorized, map[string]any{"error": "who are you"})
		return
	}
	address := r.URL.Query().Get("email")
	s.Note(address)
	if found := s.Users(func(u fakeprovider.User) bool { return u.Email == address }); len(found) > 0 {
		u := found[0]
		one := map[string]any{"id": u.ID, "email": u.Email, "firstName": u.FirstName, "lastName": u.LastName, "verified": u.Verified}
		for name, value := range u.More {
			one[name] = value
		}
		answer(w, http.StatusOK, map[string]any{"data": one})
		return
	}
	answer(w, http.StatusNotFound, map[string]any{"error": "no such user"})
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}
