// Package httpdest is the generic destination. It sends a signed HTTP request for each
// change of a person to any server that can check a Standard Webhooks signature.
package httpdest

import (
	"bytes"
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"usersync/internal/connector"
	"usersync/internal/usersync"
	"usersync/internal/webhooksig"
)

// Platform is the destination. Its limits are our own, because no platform publishes any.
// A receiver of modest size copes with them.
var Platform = connector.Define(connector.Platform{
	Name: "http", Title: "HTTP destination", Batch: 10,
	Limits:   connector.Limits{Concurrent: 8, Timeout: 15 * time.Second},
	Classify: classify,
}, open)

// Credentials are what a connection signs in with.
type Credentials struct {
	Secret  usersync.Secret            `json:"secret" help:"Signs every request: whsec_ and the base64 of 24 to 64 random bytes, which the receiver knows too."`
	Headers map[string]usersync.Secret `json:"headers,omitempty" help:"Headers of every request that are secret, such as Authorization."`
}

// Settings say where people are put and what is sent of them.
type Settings struct {
	URL        string            `json:"url" role:"address" help:"Where requests go: an https address."`
	Method     string            `json:"method,omitempty" help:"The method of a request." default:"POST" options:"POST|PUT|PATCH"`
	Removal    string            `json:"removal,omitempty" help:"The method of the request that tells of an erased user." default:"POST" options:"POST|DELETE"`
	Headers    map[string]string `json:"headers,omitempty" help:"Headers of every request. Content-Type is application/json where none is named."`
	Body       string            `json:"body,omitempty" help:"A template of the body; the user as JSON where there is none."`
	Attributes []string          `json:"attributes,omitempty" help:"The user's attributes that are sent, all of them where none is named; a template may use those named."`
}

// destination is one receiver.
type destination struct {
	client   *connector.Client
	settings Settings
	url      *url.URL
	headers  http.Header
	secret   usersync.Secret
	signer   *webhooksig.Signer
	body     *body
}

func open(c Credentials, s Settings, _ connector.Facts, client *connector.Client) (connector.Connector, error) {
	d := &destination{client: client, settings: s, secret: c.Secret}
	var faults connector.Faults
	var err error
	d.signer, err = webhooksig.NewSigner(c.Secret)
	faults.AddError("credentials.secret", err)
	d.url, err = client.CheckURL(s.URL)
	faults.AddError("settings.url", err)
	d.body, err = newBody(s)
	faults.AddError("settings.body", err)
	d.headers = headers(c, s, &faults)
	return d, faults.Err()
}

// reserved are headers that only this service sets.
var reserved = []string{"Connection", "Content-Length", "Host", "Te", "Trailer", "Transfer-Encoding", "Upgrade"}

// tokens are the characters of a header's name (RFC 9110, section 5.6.2) that are
// neither letters nor digits.
const tokens = "!#$%&'*+-.^_`|~"

// headers returns the headers of every request, and adds what is wrong with them to
// faults.
func headers(c Credentials, s Settings, faults *connector.Faults) http.Header {
	out := http.Header{"Content-Type": {"application/json"}}
	set := func(place, name, value string) {
		key := http.CanonicalHeaderKey(name)
		switch {
		case !isToken(name) || slices.Contains(reserved, key) || strings.HasPrefix(key, "Webhook-"):
			faults.Add(true, place+"."+name, "is no header that can be set")
		case !isValue(value):
			faults.Add(true, place+"."+name, "must be one line")
		default:
			out[key] = []string{value}
		}
	}
	for name, value := range s.Headers {
		set("settings.headers", name, value)
	}
	for name, value := range c.Headers {
		set("credentials.headers", name, value.Reveal())
	}
	return out
}

func isToken(name string) bool {
	return name != "" && !strings.ContainsFunc(name, func(r rune) bool {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
		return !letter && !strings.ContainsRune(tokens, r)
	})
}

func isValue(value string) bool {
	return !strings.ContainsFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f })
}

// send makes one signed request.
func (d *destination) send(ctx context.Context, method, id string, text []byte) (*connector.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, d.client.URL(d.url.String(), ""), bytes.NewReader(text))
	if err != nil {
		return nil, usersync.Errorf(usersync.CodeInvalid, "The destination's address is not valid.")
	}
	for _, set := range []http.Header{d.headers, d.signer.Headers(id, time.Now(), text)} {
		for name, values := range set {
			req.Header[name] = values
		}
	}
	return d.client.Do(ctx, req)
}

// Check asks with HEAD, which changes nothing, whether the receiver answers and takes
// the signature. A receiver that knows no HEAD passes too.
func (d *destination) Check(ctx context.Context) (connector.Facts, error) {
	facts := connector.Facts{Account: connector.Fingerprint(d.secret)}
	response, err := d.send(ctx, http.MethodHead, "msg_check", nil)
	if connector.NotFound(response) || response != nil && response.Status == http.StatusMethodNotAllowed {
		return facts, nil
	}
	return facts, err
}
