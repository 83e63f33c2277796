package outbound_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"usersync/internal/outbound"
	"usersync/internal/outbound/hostile"
	"usersync/internal/usersync"
)

// soon is how long a test waits for what has to come at once, on a machine that has
// other things to do.
const soon = 10 * time.Second

// TestEveryHostileAnswerEndsWithinTheTimeout checks that a call ends in time, with an
// answer or with an error of code unavailable, and that the client then holds no
// connection.
func TestEveryHostileAnswerEndsWithinTheTimeout(t *testing.T) {
	t.Parallel()
	const timeout = 300 * time.Millisecond
	for _, s := range hostile.Servers() {
		t.Run(s.Name, func(t *testing.T) {
			t.Parallel()
			server := s.Start(t)
			client := closing(t, &outbound.Client{Guard: loopback(), Timeout: timeout, MaxResponse: 1 << 10, RootCAs: server.Roots})
			start := time.Now()
			response, err := client.Do(t.Context(), post(t, server.URL, 1<<20))
			if took := time.Since(start); took > timeout+2*time.Second {
				t.Errorf("it took %v", took)
			}
			judge(t, s, response, err)
			wantReleased(t, client, server)
		})
	}
}

func judge(t *testing.T, s hostile.Server, response *outbound.Response, err error) {
	t.Helper()
	if err != nil && usersync.CodeOf(err) != usersync.CodeUnavailable {
		t.Errorf("code %q: %v", usersync.CodeOf(err), err)
	}
	success := response != nil && response.Status >= 200 && response.Status < 300
	if success != s.Answered && !errors.Is(err, context.DeadlineExceeded) { // a busy machine may see no answer where there is one
		t.Errorf("a success: %v, want %v: %+v, %v", success, s.Answered, response, err)
	}
	if success && !s.Answered {
		t.Errorf("this is taken for a success: %+v", response)
	}
	if err == nil && response.Status < 200 {
		t.Errorf("%d is taken for an answer", response.Status)
	}
}

// wantReleased waits until the client holds no connection but idle ones, which it closes.
func wantReleased(t *testing.T, client *outbound.Client, server *hostile.Running) {
	t.Helper()
	deadline := time.Now().Add(soon)
	for server.Held() > 0 {
		client.Close()
		if time.Now().After(deadline) {
			t.Fatalf("%d connections are held", server.Held())
		}
		time.Sleep(time.Millisecond)
	}
}

// TestEveryHostileAnswerEndsWithTheCaller checks the same for a caller that is shut down
// long before the timeout.
func TestEveryHostileAnswerEndsWithTheCaller(t *testing.T) {
	t.Parallel()
	for _, s := range hostile.Servers() {
		t.Run(s.Name, func(t *testing.T) {
			t.Parallel()
			server := s.Start(t)
			client := closing(t, &outbound.Client{Guard: loopback(), Timeout: 4 * time.Second, MaxResponse: 1 << 10, RootCAs: server.Roots})
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() {
				_, err := client.Do(ctx, post(t, server.URL, 1<<20))
				ended <- err
			}()
			<-server.Reached()
			time.AfterFunc(100*time.Millisecond, cancel) // many a call has ended by itself then
			select {
			case err := <-ended:
				if err != nil && !errors.Is(err, context.Canceled) && usersync.CodeOf(err) != usersync.CodeUnavailable {
					t.Error(err)
				}
			case <-time.After(3 * time.Second):
				t.Fatal("it goes on")
			}
			wantReleased(t, client, server)
		})
	}
}

func post(t *testing.T, url string, size int) *http.Request {
	t.Helper()
	req, err := http.NewRequest(http.MethodPost, url, strings.NewReader(strings.Repeat("x", size)))
	if err != nil {
		t.Fatal(err)
	}
	return req
}
