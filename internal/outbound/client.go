package outbound

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"usersync/internal/usersync"
)

// These are the defaults of a Client's fields.
const (
	defaultTimeout     = 15 * time.Second
	defaultMaxResponse = 1 << 20
	defaultUserAgent   = "usersync"
)

// These are the limits of connections. Idle connections are kept, because many
// deliveries may go to one host.
const (
	dialTimeout       = 10 * time.Second
	handshakeTimeout  = 10 * time.Second
	keepAlive         = 30 * time.Second
	idleTimeout       = 90 * time.Second
	idlePerHost       = 64
	idleInAll         = 512
	tlsSessions       = 1024
	maxResponseHeader = 64 << 10
	http2Silence      = 15 * time.Second // after it the other side is asked for a sign of life, and then given up
)

// drain is how many bytes of a body beyond MaxResponse are read to keep its
// connection. The connection of a longer body is closed, because that is cheaper.
const drain = 64 << 10

// Client makes HTTP requests to the outside. The zero Client works. It is safe for
// concurrent use, if its fields do not change once it is in use.
type Client struct {
	// Guard decides which addresses may be dialled. A Client without one dials public
	// addresses by https.
	Guard *Guard
	// Timeout bounds one exchange, from the name look-up to the last byte of the
	// body. Zero means 15 s.
	Timeout time.Duration
	// MaxResponse is how many bytes of a body are kept, counted after decompression.
	// Zero means 1 MiB.
	MaxResponse int64
	// MaxConnsPerHost bounds the connections to one host. Further requests wait for
	// one, within their timeout. Zero is no bound.
	MaxConnsPerHost int
	// UserAgent is sent with requests that have none, such as usersync/1.2.3. The
	// default is "usersync".
	UserAgent string
	// Resolver looks up names. nil means the system's resolver.
	Resolver *net.Resolver
	// RootCAs are the authorities trusted for TLS. nil means those of the system.
	RootCAs *x509.CertPool

	once   sync.Once
	secure *http.Transport
	plain  *http.Transport
}

// Response is the answer to a request.
type Response struct {
	Status int
	Header http.Header
	// Body is the body up to MaxResponse.
	Body []byte
	// Truncated says that the body was longer than Body, or that it broke off.
	Truncated bool
	// Latency is the time from the start until Body was read.
	Latency time.Duration
}

// Do makes one request, under ctx instead of the request's own context. It returns
// the answer whatever its status, and follows no redirect. It adds a User-Agent and
// no other header, and does not change req.
//
// If ctx was cancelled, Do returns the error of ctx. An error has code invalid for a
// port that is not valid, and for a scheme that is neither https nor http. It has code
// unavailable for everything that failed on the way, deadlines included. An address
// that the Guard refuses has the same error as a name that does not resolve and a host
// that refuses the connection; only the cause tells them apart.
// Messages and causes show neither the URL nor a header or body of either side. If
// only the body failed, Do returns the response so far beside the error. So it does
// with a 101 (Switching Protocols), which is no answer and has code unavailable.
//
// Do ends with ctx and within the Timeout, whatever the other side does. The connection
// is closed then, unless others use it too (HTTP/2).
func (c *Client) Do(ctx context.Context, req *http.Request) (*Response, error) {
	transport, err := c.transport(req.URL.Scheme)
	if err != nil {
		return nil, fmt.Errorf("choose the transport: %w", err)
	}
	if err := dialable(req.URL); err != nil {
		return nil, fmt.Errorf("check the address to dial: %w", err)
	}
	limited, cancel := context.WithTimeout(ctx, orDefault(c.Timeout, defaultTimeout))
	defer cancel()
	start := time.Now()
	// The transport is called without an http.Client around it, because that would
	// follow redirects and put the URL into its errors.
	traced, hold := holding(limited)
	defer hold.end()
	reply, err := transport.RoundTrip(c.prepare(traced, req))
	if err != nil {
		return nil, classify(ctx, limited, err)
	}
	defer func() { _ = reply.Body.Close() }()
	response := &Response{Status: reply.StatusCode, Header: reply.Header}
	if reply.StatusCode < http.StatusOK {
		return response, unavailable("The host gave no answer but changed the protocol, which nobody had asked for.", nil)
	}
	err = response.read(reply.Body, orDefault(c.MaxResponse, defaultMaxResponse))
	response.Latency = time.Since(start)
	if err != nil {
		return response, classify(ctx, limited, err)
	}
	if response.Truncated {
		_, _ = io.CopyN(io.Discard, reply.Body, drain) // an error is ignored, as the answer is complete
	}
	return response, nil
}

// dialable refuses ports that are not valid, and IPv6 zones, which may hold any text.
// A dialer would report both as a failure of the network. Neither is ever saved.
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
	if err != nil {
		return fmt.Errorf("read the body of the answer: %w", err)
	}
	return nil
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
	prepared.URL.RawQuery = encodeQuery(prepared.URL.RawQuery)
	return prepared
}

// encodeQuery encodes what must not stand in a query (RFC 3986, section 3.4): all bytes
// that are not printable ASCII. net/url does so for paths only.
func encodeQuery(query string) string {
	if !strings.ContainsFunc(query, unprintable) {
		return query
	}
	var out strings.Builder
	for _, b := range []byte(query) {
		if unprintable(rune(b)) {
			fmt.Fprintf(&out, "%%%02X", b)
		} else {
			out.WriteByte(b)
		}
	}
	return out.String()
}

func unprintable(r rune) bool { return r <= ' ' || r > '~' }

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
	// What goes on after the call that it was begun for has ended does not take longer
	// than a call: net/http finishes a dial, and keeps HTTP/2 connections.
	timeout := orDefault(c.Timeout, defaultTimeout)
	silence := min(http2Silence, timeout)
	dialer.Timeout, dialer.KeepAlive, dialer.Resolver = min(dialTimeout, timeout), keepAlive, c.Resolver
	return &http.Transport{
		// A proxy would resolve and dial by itself, without the Guard.
		Proxy:       nil,
		DialContext: dialer.DialContext,
		TLSClientConfig: &tls.Config{
			MinVersion:         tls.VersionTLS12,
			RootCAs:            c.RootCAs,
			ClientSessionCache: tls.NewLRUClientSessionCache(tlsSessions),
		},
		TLSHandshakeTimeout:    min(handshakeTimeout, timeout),
		ForceAttemptHTTP2:      true,
		HTTP2:                  &http.HTTP2Config{SendPingTimeout: silence, PingTimeout: silence, WriteByteTimeout: silence},
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
// general table. A connector checks its platform's exceptions first, such as a 403
// that means too many calls, or a 404 for the list rather than the user. Redirects
// are not followed and count as a refusal.
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
