// Package httpdest is the generic destination: a signed HTTP request for each
// change of a person, to any server that can check a Standard Webhooks signature.
package httpdest

import (
	"bytes"
	"cmp"
	"context"
	"net/http"
	"net/url"
	"time"

	"usersync/internal/connector"
	"usersync/internal/outbound"
	"usersync/internal/usersync"
	"usersync/internal/webhooksig"
)

// Kind is the platform. Its limits are our own, for there is no platform that
// publishes any: a receiver of modest size stands them.
var Kind = connector.Define(connector.Kind{
	Name:     "http",
	Title:    "HTTP destination",
	Batch:    10,
	Limits:   connector.Limits{Concurrent: 8, Timeout: 15 * time.Second},
	Classify: classify,
}, open)

// Credentials are what only the two sides know.
type Credentials struct {
	Secret  usersync.Secret            `json:"secret" help:"Signs every request: whsec_ and the base64 of 24 to 64 random bytes, which the receiver knows too."`
	Headers map[string]usersync.Secret `json:"headers,omitempty" help:"Headers of every request that are secret, such as Authorization."`
}

// Settings say where requests go and what they look like.
type Settings struct {
	URL        string            `json:"url" help:"Where requests go: an https address."`
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
	var faults faults
	var err error
	d.signer, err = webhooksig.NewSigner(c.Secret)
	faults.add("credentials.secret", err)
	d.url, err = client.CheckURL(s.URL)
	faults.add("settings.url", err)
	d.body, err = newBody(s)
	faults.add("settings.body", err)
	d.headers = headers(c, s, &faults)
	return d, faults.err()
}

// Check asks with HEAD, which changes nothing: whether the receiver is there and
// takes the signature. A receiver that knows no HEAD is there as well.
func (d *destination) Check(ctx context.Context) (connector.Facts, error) {
	facts := connector.Facts{Account: connector.Fingerprint(d.secret)}
	response, err := d.send(ctx, http.MethodHead, "msg_check", nil)
	if response != nil && (response.Status == http.StatusNotFound || response.Status == http.StatusMethodNotAllowed) {
		return facts, nil
	}
	return facts, err
}

// Content is the body of the request, so that a changed template is news.
func (d *destination) Content(p connector.Profile) any {
	text, err := d.body.updated(p)
	if err != nil {
		return p // cannot be sent either
	}
	return string(text)
}

// Push tells the receiver of each person.
func (d *destination) Push(ctx context.Context, people []connector.Profile) ([]connector.Result, error) {
	return d.client.Each(ctx, people, d.push)
}

func (d *destination) push(ctx context.Context, p connector.Profile) (connector.Result, error) {
	text, err := d.body.updated(p)
	if err != nil {
		return connector.Result{}, err
	}
	id := messageID(p, text)
	if _, err := d.send(ctx, cmp.Or(d.settings.Method, http.MethodPost), id, text); err != nil {
		return connector.Result{}, err
	}
	return connector.Result{Status: connector.Synced, Details: "User sent to " + d.url.Host, Remote: id}, nil
}

// Preview makes the body and sends nothing: the receiver could not tell it from a
// push.
func (d *destination) Preview(_ context.Context, p connector.Profile) (connector.Result, error) {
	if _, err := d.body.updated(p); err != nil {
		return connector.Rejected(err), nil
	}
	return connector.Result{Status: connector.Synced, Details: "User would be sent to " + d.url.Host}, nil
}

// Remove tells the receiver to erase a person.
func (d *destination) Remove(ctx context.Context, p connector.Profile) (connector.Result, error) {
	text, err := d.body.removed(p)
	if err != nil {
		return connector.Result{}, err
	}
	method := cmp.Or(d.settings.Removal, http.MethodPost)
	response, err := d.send(ctx, method, messageID(p, text), text)
	gone := response != nil && response.Status == http.StatusNotFound && method == http.MethodDelete
	if err != nil && !gone {
		return connector.Result{}, err
	}
	return connector.Result{Status: connector.Removed, Details: "User's removal sent to " + d.url.Host}, nil
}

// send makes one signed request.
func (d *destination) send(ctx context.Context, method, id string, text []byte) (*outbound.Response, error) {
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

// classify is connector.Classify, but that a receiver which has gone (410, as for
// webhooks) or moved (redirects are not followed) is to be mended by its owner.
func classify(r *outbound.Response) *usersync.Error {
	e := connector.Classify(r, "")
	if e != nil && (r.Status == http.StatusGone || r.Status >= 300 && r.Status < 400) {
		e.Code = usersync.CodeDisconnected
	}
	return e
}
