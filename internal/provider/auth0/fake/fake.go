// Package fake is a tenant of Auth0 as far as look-ups see it: a token endpoint with tokens
// that end, and a search that tells upper from lower case and answers with a list.
package fake

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"usersync/internal/provider/fakeprovider"
)

// What the fake takes.
const (
	ClientID = "fake-client"
	Secret   = "fake-client-secret-of-auth0"
)

// Server is the fake. Make it by New.
type Server struct {
	fakeprovider.Base
	// Valid is how long a token is valid, in seconds; 0 is a day.
	Valid atomic.Int64
	ended atomic.Int64 // tokens up to this one have ended
	given atomic.Int64
}

// New returns a tenant without users.
func New() *Server { return &Server{} }

// EndTokens has every token that was given refused.
func (s *Server) EndTokens() { s.ended.Store(s.given.Load()) }

// ServeHTTP answers as the tenant.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.Hit(w, r) {
		return
	}
	switch {
	case r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/oauth/token"):
		s.token(w, r)
	case r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "/api/v2/users-by-email"):
		s.search(w, r)
	default:
		fail(w, http.StatusNotFound, "Not Found")
	}
}

func (s *Server) token(w http.ResponseWriter, r *http.Request) {
	var in struct {
		GrantType    string `json:"grant_type"`
		ClientID     string `json:"client_id"`
		ClientSecret string `json:"client_secret"`
		Audience     string `json:"audience"`
	}
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil || in.GrantType != "client_credentials" || !strings.HasSuffix(in.Audience, "/api/v2/") {
		fail(w, http.StatusBadRequest, "invalid_request")
		return
	}
	if in.ClientID != ClientID || in.ClientSecret != Secret {
		fail(w, http.StatusUnauthorized, "access_denied")
		return
	}
	valid := s.Valid.Load()
	if valid == 0 {
		valid = int64((24 * time.Hour).Seconds())
	}
	answer(w, map[string]any{"access_token": fmt.Sprintf("fake-token-%d", s.given.Add(1)), "token_type": "Bearer", "scope": "read:users", "expires_in": valid})
}

func (s *Server) search(w http.ResponseWriter, r *http.Request) {
	var number int64
	if _, err := fmt.Sscanf(r.Header.Get("Authorization"), "Bearer fake-token-%d", &number); err != nil || number <= s.ended.Load() {
		fail(w, http.StatusUnauthorized, "Invalid token")
		return
	}
	address := r.URL.Query().Get("email")
	if address == "" {
		fail(w, http.StatusBadRequest, "Query validation error: 'Missing required property: email'.")
		return
	}
	s.Note(address)
	list := []map[string]any{}
	for _, u := range s.Users(func(u fakeprovider.User) bool { return u.Email == address }) {
		one := map[string]any{
			"user_id": u.ID, "email": u.Email, "email_verified": u.Verified, "given_name": u.FirstName, "family_name": u.LastName,
			"name": u.Email, "blocked": u.Blocked, "last_login": u.LastLogin, "identities": []any{map[string]any{"connection": "fake"}},
		}
		for name, value := range u.More {
			one[name] = value
		}
		list = append(list, one)
	}
	answer(w, list)
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	_ = json.NewEncoder(w).Encode(v)
}

func fail(w http.ResponseWriter, status int, message string) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"statusCode": status, "error": http.StatusText(status), "message": message})
}
