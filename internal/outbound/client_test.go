package outbound_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"usersync/internal/outbound"
	"usersync/internal/usersync"
)

func TestDoReturnsTheAnswer(t *testing.T) {
	t.Parallel()
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("X-Seen", r.Method+" "+r.URL.RequestURI()+" "+string(body))
		w.WriteHeader(http.StatusTeapot)
		_, _ = io.WriteString(w, "short and stout")
	})
	client := closing(t, &outbound.Client{Guard: loopback()})
	req, err := http.NewRequest(http.MethodPost, server.URL+"/hook?a=b", strings.NewReader("tea"))
	if err != nil {
		t.Fatal(err)
	}
	got, err := client.Do(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	if got.Status != http.StatusTeapot || string(got.Body) != "short and stout" || got.Truncated {
		t.Errorf("got %d %q, truncated %v", got.Status, got.Body, got.Truncated)
	}
	if seen := got.Header.Get("X-Seen"); seen != "POST /hook?a=b tea" {
		t.Errorf("the server saw %q", seen)
	}
	if got.Latency <= 0 {
		t.Errorf("latency %v", got.Latency)
	}
}

func TestDoSendsOnlyTheHeadersItWasGiven(t *testing.T) {
	t.Parallel()
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "session", Value: "1"})
		for name := range r.Header {
			_, _ = fmt.Fprintf(w, "%s=%s;", name, r.Header.Get(name))
		}
	})
	client := closing(t, &outbound.Client{Guard: loopback(), UserAgent: "usersync/1.2.3"})
	for range 2 { // a cookie jar would send a cookie the second time
		got, err := client.Do(t.Context(), get(t, server.URL))
		if err != nil {
			t.Fatal(err)
		}
		sent := string(got.Body)
		if !strings.Contains(sent, "User-Agent=usersync/1.2.3;") {
			t.Errorf("sent %s", sent)
		}
		for _, name := range []string{"Cookie", "Traceparent", "Referer"} {
			if strings.Contains(sent, name) {
				t.Errorf("sent %s in %s", name, sent)
			}
		}
	}
	req := get(t, server.URL)
	req.Header.Set("Traceparent", "00-1-2-01")
	req.Header.Set("User-Agent", "other")
	got, err := client.Do(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Traceparent=00-1-2-01;", "User-Agent=other;"} {
		if !strings.Contains(string(got.Body), want) {
			t.Errorf("did not send %s: %s", want, got.Body)
		}
	}
}

func TestDoLeavesTheRequestAsItIs(t *testing.T) {
	t.Parallel()
	server := serve(t, func(http.ResponseWriter, *http.Request) {})
	client := closing(t, &outbound.Client{Guard: loopback()})
	req := get(t, server.URL)
	req.Header = nil
	if _, err := client.Do(t.Context(), req); err != nil {
		t.Fatal(err)
	}
	if req.Header != nil {
		t.Errorf("headers became %v", req.Header)
	}
}

func TestDoSendsNothingButASCIIInTheRequestLine(t *testing.T) {
	t.Parallel()
	server := serve(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.RequestURI) })
	client := closing(t, &outbound.Client{Guard: loopback()})
	for path, want := range map[string]string{
		"/ü?q=ü&r=日本":         "/%C3%BC?q=%C3%BC&r=%E6%97%A5%E6%9C%AC",
		"/?a=b%20c&d=/?:@+;,": "/?a=b%20c&d=/?:@+;,",
		"/?%C3%BC":            "/?%C3%BC",
	} {
		got, err := client.Do(t.Context(), get(t, server.URL+path))
		if err != nil || string(got.Body) != want {
			t.Errorf("%s was sent as %s, %v; want %s", path, got.Body, err, want)
		}
	}
}

func TestDoFollowsNoRedirect(t *testing.T) {
	t.Parallel()
	var followed atomic.Int32
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/target" {
			followed.Add(1)
			return
		}
		http.Redirect(w, r, "/target", http.StatusFound)
	})
	client := closing(t, &outbound.Client{Guard: loopback()})
	got, err := client.Do(t.Context(), get(t, server.URL))
	if err != nil || got.Status != http.StatusFound || followed.Load() != 0 {
		t.Errorf("got %+v, %v, followed %d", got, err, followed.Load())
	}
}

func TestDoKeepsMaxResponseBytes(t *testing.T) {
	t.Parallel()
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(w, io.LimitReader(endless{}, r.ContentLength))
	})
	client := closing(t, &outbound.Client{Guard: loopback(), MaxResponse: 1024})
	for _, c := range []struct {
		size, want int
		truncated  bool
	}{{0, 0, false}, {1023, 1023, false}, {1024, 1024, false}, {1025, 1024, true}, {1 << 20, 1024, true}} {
		req, err := http.NewRequest(http.MethodPost, server.URL, bytes.NewReader(make([]byte, c.size)))
		if err != nil {
			t.Fatal(err)
		}
		got, err := client.Do(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		if len(got.Body) != c.want || got.Truncated != c.truncated {
			t.Errorf("of %d bytes %d were kept, truncated %v", c.size, len(got.Body), got.Truncated)
		}
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

func TestDoCountsDecompressedBytes(t *testing.T) {
	t.Parallel()
	var bomb bytes.Buffer
	packer := gzip.NewWriter(&bomb)
	_, _ = io.CopyN(packer, endless{}, 16<<20)
	_ = packer.Close()
	server := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = w.Write(bomb.Bytes())
	})
	client := closing(t, &outbound.Client{Guard: loopback(), MaxResponse: 2048})
	got, err := client.Do(t.Context(), get(t, server.URL))
	if err != nil || len(got.Body) != 2048 || !got.Truncated || got.Body[0] != 'x' {
		t.Errorf("kept %d bytes, %v", len(got.Body), err)
	}
}

// hang serves requests whose handlers return only when the test ends.
func hang(t *testing.T, first http.HandlerFunc) (server *httptest.Server, reached chan struct{}) {
	t.Helper()
	release, reached := make(chan struct{}), make(chan struct{}, 1)
	server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if first != nil {
			first(w, r)
		}
		reached <- struct{}{}
		<-release
	}))
	t.Cleanup(func() {
		close(release)
		server.Close()
	})
	return server, reached
}

func TestDoGivesUpAfterTheTimeout(t *testing.T) {
	t.Parallel()
	server, _ := hang(t, nil)
	client := closing(t, &outbound.Client{Guard: loopback(), Timeout: 50 * time.Millisecond})
	got, err := client.Do(t.Context(), get(t, server.URL))
	if usersync.CodeOf(err) != usersync.CodeUnavailable || !errors.Is(err, context.DeadlineExceeded) || got != nil {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestDoReturnsWhatArrivedBeforeTheTimeout(t *testing.T) {
	t.Parallel()
	server, _ := hang(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "half")
		_ = http.NewResponseController(w).Flush()
	})
	client := closing(t, &outbound.Client{Guard: loopback(), Timeout: 200 * time.Millisecond})
	got, err := client.Do(t.Context(), get(t, server.URL))
	if usersync.CodeOf(err) != usersync.CodeUnavailable {
		t.Fatalf("got %v", err)
	}
	if got == nil || got.Status != http.StatusOK || string(got.Body) != "half" || !got.Truncated {
		t.Errorf("got %+v", got)
	}
}

func TestDoReturnsTheCallersCancellationAsItIs(t *testing.T) {
	t.Parallel()
	server, reached := hang(t, nil)
	client := closing(t, &outbound.Client{Guard: loopback()})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-reached
		cancel()
	}()
	if _, err := client.Do(ctx, get(t, server.URL)); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestDoCountsTheCallersDeadlineAsUnavailable(t *testing.T) {
	t.Parallel()
	server, _ := hang(t, nil)
	client := closing(t, &outbound.Client{Guard: loopback()})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := client.Do(ctx, get(t, server.URL)); usersync.CodeOf(err) != usersync.CodeUnavailable {
		t.Errorf("got %v", err)
	}
}

func TestDoClassifiesConnectionsThatBreak(t *testing.T) {
	t.Parallel()
	speak := func(text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			_, _ = io.WriteString(conn, text)
			_ = conn.Close()
		}
	}
	for name, handler := range map[string]http.HandlerFunc{
		"closed without an answer": speak(""),
		"not HTTP":                 speak("hunter2 hunter2 hunter2\r\n\r\n"),
		"broken header":            speak("HTTP/1.1 200 OK\r\nhunter2\r\n\r\n"),
		"broken status":            speak("HTTP/1.1 hunter2\r\n\r\n"),
		"broken length":            speak("HTTP/1.1 200 OK\r\nContent-Length: hunter2\r\n\r\n"),
		"huge header":              speak("HTTP/1.1 200 OK\r\nX: " + strings.Repeat("hunter2", 20000) + "\r\n\r\n"),
		"body cut short":           speak("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhunter2"),
		"broken chunk":             speak("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nhunter2\r\n"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := serve(t, handler)
			req := get(t, server.URL+"/?token=hunter2")
			req.Header.Set("Authorization", "Bearer hunter2")
			_, err := closing(t, &outbound.Client{Guard: loopback()}).Do(t.Context(), req)
			if usersync.CodeOf(err) != usersync.CodeUnavailable {
				t.Errorf("got %v", err)
			}
			if err != nil && strings.Contains(err.Error(), "hunter2") {
				t.Errorf("shows what was sent: %v", err)
			}
		})
	}
}

func TestDoClassifiesAPortNobodyListensOn(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	target := "http://" + listener.Addr().String()
	_ = listener.Close()
	_, err = closing(t, &outbound.Client{Guard: loopback()}).Do(t.Context(), get(t, target))
	if usersync.CodeOf(err) != usersync.CodeUnavailable || !strings.Contains(usersync.AsError(err).Message, "refuses the connection") {
		t.Errorf("got %v", err)
	}
}

func TestDoRefusesOtherSchemes(t *testing.T) {
	t.Parallel()
	client := closing(t, &outbound.Client{Guard: loopback()})
	for _, target := range []string{"ftp://127.0.0.1/", "file:///etc/passwd", "//127.0.0.1/"} {
		if _, err := client.Do(t.Context(), get(t, target)); usersync.CodeOf(err) != usersync.CodeInvalid {
			t.Errorf("%s: %v", target, err)
		}
	}
}

func TestDoReusesItsConnection(t *testing.T) {
	t.Parallel()
	var opened atomic.Int32
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.CopyN(w, endless{}, 8<<10) // more than is kept, as error pages are
	}))
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			opened.Add(1)
		}
	}
	server.Start()
	t.Cleanup(server.Close)
	client := closing(t, &outbound.Client{Guard: loopback(), MaxResponse: 1 << 10})
	for range 100 {
		if _, err := client.Do(t.Context(), get(t, server.URL)); err != nil {
			t.Fatal(err)
		}
	}
	if opened.Load() != 1 {
		t.Errorf("100 requests opened %d connections", opened.Load())
	}
}

func TestDoKeepsToMaxConnsPerHost(t *testing.T) {
	t.Parallel()
	var now, most atomic.Int32
	server := serve(t, func(http.ResponseWriter, *http.Request) {
		n := now.Add(1)
		defer now.Add(-1)
		for seen := most.Load(); n > seen && !most.CompareAndSwap(seen, n); seen = most.Load() {
		}
	})
	client := closing(t, &outbound.Client{Guard: loopback(), MaxConnsPerHost: 2})
	var requests sync.WaitGroup
	for range 50 {
		req := get(t, server.URL)
		requests.Go(func() {
			if _, err := client.Do(t.Context(), req); err != nil {
				t.Error(err)
			}
		})
	}
	requests.Wait()
	if most.Load() > 2 {
		t.Errorf("%d requests at once", most.Load())
	}
}

func serveTLS(t *testing.T, change func(*httptest.Server)) (*httptest.Server, *x509.CertPool) {
	t.Helper()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.Proto)
	}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // failed handshakes are expected
	change(server)
	server.StartTLS()
	t.Cleanup(server.Close)
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	return server, roots
}

func TestDoSpeaksHTTP2OverTLS(t *testing.T) {
	t.Parallel()
	server, roots := serveTLS(t, func(s *httptest.Server) { s.EnableHTTP2 = true })
	client := closing(t, &outbound.Client{Guard: loopback(), RootCAs: roots})
	got, err := client.Do(t.Context(), get(t, server.URL))
	if err != nil || string(got.Body) != "HTTP/2.0" {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestDoRefusesUnknownCertificatesAndOldTLS(t *testing.T) {
	t.Parallel()
	unknown, _ := serveTLS(t, func(*httptest.Server) {})
	_, err := closing(t, &outbound.Client{Guard: loopback(), RootCAs: x509.NewCertPool()}).Do(t.Context(), get(t, unknown.URL))
	if usersync.CodeOf(err) != usersync.CodeUnavailable || !strings.Contains(usersync.AsError(err).Message, "certificate") {
		t.Errorf("unknown certificate: %v", err)
	}
	old, roots := serveTLS(t, func(s *httptest.Server) {
		s.TLS = &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}
	})
	_, err = closing(t, &outbound.Client{Guard: loopback(), RootCAs: roots}).Do(t.Context(), get(t, old.URL))
	if usersync.CodeOf(err) != usersync.CodeUnavailable {
		t.Errorf("TLS 1.1: %v", err)
	}
}

func TestDoIgnoresProxiesOfTheEnvironment(t *testing.T) {
	var proxied atomic.Int32
	proxy := serve(t, func(http.ResponseWriter, *http.Request) { proxied.Add(1) })
	server := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "direct") })
	names := newDNS(t)
	names.set("127.0.0.1")
	t.Setenv("HTTP_PROXY", proxy.URL)
	client := closing(t, &outbound.Client{Guard: loopback(), Resolver: names.resolver()})
	_, port, _ := net.SplitHostPort(server.Listener.Addr().String())
	got, err := client.Do(t.Context(), get(t, "http://hook.example.com:"+port)) // proxies are not used for loopback
	if err != nil || string(got.Body) != "direct" || proxied.Load() != 0 {
		t.Errorf("got %+v, %v, proxied %d", got, err, proxied.Load())
	}
}

func TestCodeOfStatus(t *testing.T) {
	t.Parallel()
	for code, statuses := range map[usersync.Code][]int{
		"":                        {200, 201, 202, 204, 299},
		usersync.CodeRejected:     {300, 301, 302, 304, 308, 400, 404, 405, 409, 410, 413, 422, 499},
		usersync.CodeDisconnected: {401, 403, 426},
		usersync.CodeRateLimited:  {429},
		usersync.CodeUnavailable:  {408, 425, 500, 501, 502, 503, 504, 529, 599, 100, 0, 999},
	} {
		for _, status := range statuses {
			if got := outbound.CodeOfStatus(status); got != code {
				t.Errorf("%d is %q, want %q", status, got, code)
			}
		}
	}
}

func BenchmarkDo(b *testing.B) {
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer server.Close()
	client := &outbound.Client{Guard: loopback(), MaxResponse: 1 << 10}
	defer client.Close()
	body := make([]byte, 1<<10)
	b.ReportAllocs()
	for b.Loop() {
		req, err := http.NewRequest(http.MethodPost, server.URL, bytes.NewReader(body))
		if err != nil {
			b.Fatal(err)
		}
		if _, err := client.Do(b.Context(), req); err != nil {
			b.Fatal(err)
		}
	}
}
