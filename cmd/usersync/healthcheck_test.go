package main

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestHealthcheckPassesOn200Only(t *testing.T) {
	t.Parallel()
	for status, healthy := range map[int]bool{
		http.StatusOK:                  true,
		http.StatusNoContent:           false,
		http.StatusFound:               false,
		http.StatusNotFound:            false,
		http.StatusServiceUnavailable:  false,
		http.StatusInternalServerError: false,
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/readyz" {
				return // 200: what following the redirect would meet
			}
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(status)
		}))
		defer server.Close()
		if err := checkHealth(t.Context(), server.URL+"/readyz"); (err == nil) != healthy {
			t.Errorf("status %d: error %v, healthy should be %t", status, err, healthy)
		}
	}
}

func TestHealthcheckFailsWhenNobodyListens(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	if err := checkHealth(t.Context(), server.URL); err == nil {
		t.Error("a closed port counts as healthy")
	}
}
