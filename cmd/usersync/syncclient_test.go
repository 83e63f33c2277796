package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// Whoever typed the wrong address sees at once why nothing happens.
func TestACallThatIsMadeAgainSaysWhatItWaitsFor(t *testing.T) {
	t.Parallel()
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()
	c := newSyncClient()
	c.base, c.patience = closed.URL, 2500*time.Millisecond
	var told []string
	c.tell = func(text string) { told = append(told, text) }
	_, err := c.call(t.Context(), http.MethodGet, "/v1/requests", "", nil)
	if err == nil || !strings.Contains(err.Error(), "gave up after 2.5s") {
		t.Errorf("%v", err)
	}
	if len(told) == 0 || !strings.Contains(told[0], "connection refused; trying again until ") {
		t.Errorf("told %q", told)
	}
}
