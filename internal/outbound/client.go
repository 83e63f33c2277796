package outbound

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"usersync/internal/usersync"
)

// What a Client does where its fields say nothing.
const (
	defaultTimeout     = 15 * time.Second
	defaultMaxResponse = 1 << 20
	defaultUserAgent   = "usersync"
)

// The limits of connections. Idle ones are kept for many deliveries to one host.
const (
	dialTimeout       = 10 * time.Second
	handshakeTimeout  = 10 * time.Second
	keepAlive         = 30 * time.Second
	idleTimeout       = 90 * time.Second
	idlePerHost       = 64
	idleInAll         = 1024
	tlsSessions       = 1024
	maxResponseHeader = 64 << 10
	http2Ping         = 15 * time.Second
)

// drain is how much of a body beyond MaxResponse is read to keep its connection;
// of a longer one the connection is closed, which is cheaper.
const drain = 64 << 10

// Client makes HTTP requests to the outside. The zero Client works; its fields
// must not change once it is in use; it is then safe for concurrent use.
type Client struct {
	// Guard decides what may be dialled; without one, public addresses by https.
	Guard *Guard
	// Timeout bounds one exchange, from the name look-up to the last byte of the
	// body; 15 s when zero.
	Timeout time.Duration
	// MaxResponse is how many bytes of a body are kept, counted after
	// decompression; 1 MiB when zero.
	MaxResponse int64
	// MaxConnsPerHost bounds the connections to one host; further requests wait for
	// one, within their timeout. Zero is no bound.
	MaxConnsPerHost int
	// UserAgent is sent where the request has none, such as usersync/1.2.3;
	// "usersync" when empty.
	UserAgent string
	// Resolver looks up names; the system's when nil.
	Resolver *net.Resolver
	// RootCAs are the authorities trusted for TLS; the system's when nil.
	RootCAs *x509.CertPool

	once   sync.Once
	secure *http.Transport
	plain  *http.Transport
}

// Response is what came back.
type Response struct {
	Status int
	Header http.Header
	// Body is the body up to MaxResponse.
	Body []byte
	// Truncated says that there was more than Body, or that it broke off.
	Truncated bool
	// Latency is the time from the start until Body was read.
	Latency time.Duration
}

// Do makes one request, under ctx instead of the request's own context, and
// returns what came back, whatever its status; redirects are not followed. It adds
// a User-Agent and no other header, and does not change req.
//
// Errors: ctx's own when it was cancelled; else code invalid for an address that
// the Guard refuses, a port that is none, a scheme that is neither https nor http,
// and http to an address that Allow does not cover; code unavailable for everything that
// failed on the way, deadlines included. Messages and causes show neither the URL nor
// a header or body of either side. When only the body failed, the response so far is
// returned beside the error.
func (c *Client) Do(ctx context.Context, req *http.Request) (*Response, error) {
	transport, err := c.transport(req.URL.Scheme)
	if err != nil {
		return nil, err
	}
	if err := dialable(req.URL); err != nil {
		return nil, err
	}
	limited, cancel := context.WithTimeout(ctx, orDefault(c.Timeout, defaultTimeout))
	defer cancel()
	start := time.Now()
	// The transport is called without an http.Client around it: that would follow
	// redirects and put the URL into its errors.
	reply, err := transport.RoundTrip(c.prepare(limited, req))
	if err != nil {
		return nil, classify(ctx, limited, err)
	}
	defer func() { _ = reply.Body.Close() }()
	response := &Response{Status: reply.StatusCode, Header: reply.Header}
	err = response.read(reply.Body, orDefault(c.MaxResponse, defaultMaxResponse))
	response.Latency = time.Since(start)
	if err != nil {
		return response, classify(ctx, limited, err)
	}
	if response.Truncated {
		_, _ = io.CopyN(io.Discard, reply.Body, drain) // what is needed has arrived
	}
	return response, nil
}

// dialable refuses what a dialer would fail at as if the network had: ports that
// are none, and zones, in which anything may stand. Neither is ever saved.
func dialable(u *url.URL) error {
	if strings.Contains(u.Hostname(), "%") {
		return badURL("an IPv6 address without a zone")
	}
	_, err := portOf(u)
	return err
}

// read keeps up to limit bytes of body.
func (r *Response) read(body io.Reader, limit int64) error {
	kept, err := io.ReadAll(io.LimitReader(body, limit+1))
	r.Truncated = err != nil || int64(len(kept)) > limit
	r.Body = kept[:min(int64(len(kept)), limit)]
	return err
}

// prepare returns a copy of req that may be changed.
func (c *Client) prepare(ctx context.Context, req *http.Request) *http.Request {
	prepared := req.Clone(ctx)
	if prepared.Header == nil {
		prepared.Header = http.Header{}
	}
	if _, set := prepared.Header["User-Agent"]; !set {
		prepared.Header.Set("User-Agent", orDefault(c.UserAgent, defaultUserAgent))
	}
	return prepared
}

// Close closes the connections that are idle. Requests under way go on.
func (c *Client) Close() {
	c.once.Do(c.build)
	c.secure.CloseIdleConnections()
	c.plain.CloseIdleConnections()
}

func (c *Client) transport(scheme string) (*http.Transport, error) {
	c.once.Do(c.build)
	switch scheme {
	case "https":
		return c.secure, nil
	case "http":
		return c.plain, nil
	}
	return nil, badURL("https://")
}

// build makes one transport per scheme, as they differ in what they may dial.
func (c *Client) build() {
	guard := orDefault(c.Guard, &Guard{})
	c.secure = c.newTransport(&net.Dialer{Control: guard.Control})
	c.plain = c.newTransport(&net.Dialer{Control: guard.controlPlain})
}

func (c *Client) newTransport(dialer *net.Dialer) *http.Transport {
	dialer.Timeout, dialer.KeepAlive, dialer.Resolver = dialTimeout, keepAlive, c.Resolver
	return &http.Transport{
		// A proxy would resolve and dial for us, past the Guard.
		Proxy:       nil,
		DialContext: dialer.DialContext,
		TLSClientConfig: &tls.Config{
			MinVersion:         tls.VersionTLS12,
			RootCAs:            c.RootCAs,
			ClientSessionCache: tls.NewLRUClientSessionCache(tlsSessions),
		},
		TLSHandshakeTimeout:    handshakeTimeout,
		ForceAttemptHTTP2:      true,
		HTTP2:                  &http.HTTP2Config{SendPingTimeout: http2Ping, PingTimeout: http2Ping},
		MaxConnsPerHost:        c.MaxConnsPerHost,
		MaxIdleConns:           idleInAll,
		MaxIdleConnsPerHost:    idlePerHost,
		IdleConnTimeout:        idleTimeout,
		MaxResponseHeaderBytes: maxResponseHeader,
	}
}

// orDefault returns value, or fallback when value is zero.
func orDefault[T comparable](value, fallback T) T {
	var zero T
	if value == zero {
		return fallback
	}
	return value
}

// CodeOfStatus returns the code of a platform's answer, "" for success. It is the
// general table; a connector puts its platform's exceptions before it, such as a
// 403 that means too many calls, or a 404 for the list rather than the user.
// Redirects are not followed and count as a refusal.
func CodeOfStatus(status int) usersync.Code {
	switch {
	case status >= 200 && status < 300:
		return ""
	case status == http.StatusUnauthorized, status == http.StatusForbidden, status == http.StatusUpgradeRequired:
		return usersync.CodeDisconnected
	case status == http.StatusTooManyRequests:
		return usersync.CodeRateLimited
	case status == http.StatusRequestTimeout, status == http.StatusTooEarly:
		return usersync.CodeUnavailable
	case status >= 300 && status < 500:
		return usersync.CodeRejected
	}
	return usersync.CodeUnavailable
}
