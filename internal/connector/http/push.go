package httpdest

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"usersync/internal/connector"
	"usersync/internal/template"
	"usersync/internal/usersync"
)

// These are the types of messages.
const (
	typeUpdated = "user.updated"
	typeRemoved = "user.removed"
)

// message is what a receiver is sent if there is no template.
type message struct {
	Type string `json:"type"`
	Data data   `json:"data"`
}

type data struct {
	UserID     string         `json:"userId"`
	Email      usersync.Email `json:"email"`
	FirstName  known          `json:"firstName,omitzero"`
	LastName   known          `json:"lastName,omitzero"`
	Name       known          `json:"name,omitzero"`
	Country    known          `json:"country,omitzero"`
	JobTitle   known          `json:"jobTitle,omitzero"`
	InviteLink known          `json:"inviteLink,omitzero"`
	Attributes map[string]any `json:"attributes,omitempty"`
}

// known is a text. It may be unknown, which is left out, or cleared, which is null.
type known struct {
	text    string
	cleared bool
}

// MarshalJSON writes the text, or null.
func (k known) MarshalJSON() ([]byte, error) {
	if k.cleared {
		return []byte("null"), nil
	}
	return json.Marshal(k.text)
}

// knownOf returns what a profile says of a source, which holds a text.
func knownOf(p connector.Profile, source string) known {
	text := connector.Text(p.Value(source))
	return known{text, text == "" && p.Clears(source)}
}

// body makes the bodies of requests.
type body struct {
	template   *template.Template // nil for none
	attributes []string
}

// newBody checks a template by executing it for a person who has nothing but the
// attributes that are named.
func newBody(s Settings) (*body, error) {
	b := &body{attributes: s.Attributes}
	if s.Body == "" {
		return b, nil
	}
	var err error
	if b.template, err = template.ParseText(s.Body); err != nil {
		return nil, err
	}
	_, err = b.template.Execute(b.fields(connector.Profile{}))
	return b, err
}

// updated returns the body that tells of a person as they are. A person is rejected if
// the template cannot write about them.
func (b *body) updated(p connector.Profile) ([]byte, error) {
	if b.template == nil {
		return json.Marshal(message{typeUpdated, data{
			UserID: p.UserID, Email: p.Email, FirstName: knownOf(p, "firstName"), LastName: knownOf(p, "lastName"), Name: knownOf(p, "name"),
			Country: knownOf(p, "country"), JobTitle: knownOf(p, "jobTitle"), InviteLink: knownOf(p, "inviteLink"), Attributes: b.chosen(p),
		}})
	}
	text, err := b.template.Execute(b.fields(p))
	if err != nil {
		return nil, usersync.Errorf(usersync.CodeRejected, "The body cannot be written: %s", usersync.AsError(err).Message)
	}
	return []byte(text), nil
}

// removed returns the body that tells that a person is to be erased. It uses no
// template, because a removal must not look like an update.
func (b *body) removed(p connector.Profile) ([]byte, error) {
	return json.Marshal(message{typeRemoved, data{UserID: p.UserID, Email: p.Email}})
}

// chosen returns the attributes that are sent. Those that were cleared are null.
func (b *body) chosen(p connector.Profile) map[string]any {
	out := map[string]any{}
	add := func(name string, value any) {
		if len(b.attributes) == 0 || slices.Contains(b.attributes, name) {
			out[name] = value
		}
	}
	for _, f := range p.Cleared {
		if name, ok := strings.CutPrefix(string(f), "attributes."); ok {
			add(name, nil)
		}
	}
	for name, value := range p.Attributes {
		add(name, value)
	}
	return out
}

// fields returns what a template may use. These are the sources of mappings, type, and
// under attributes the ones that are named. A value that a person does not have is "".
func (b *body) fields(p connector.Profile) map[string]any {
	attributes := map[string]any{}
	for _, name := range b.attributes {
		attributes[name] = orEmpty(plain(p.Attributes[name]))
	}
	out := map[string]any{"type": typeUpdated, "attributes": attributes}
	for _, source := range connector.Sources {
		out[source] = orEmpty(p.Value(source))
	}
	return out
}

// plain returns a number as one of Go's own where a template shows that with all its
// digits, so that 0 counts as false. It returns a list as a text.
func plain(value any) any {
	if list, ok := value.([]any); ok {
		return connector.Text(list)
	}
	number, ok := value.(json.Number)
	if !ok {
		return value
	}
	if f, err := number.Float64(); err == nil && fmt.Sprint(f) == number.String() {
		return f
	}
	return value
}

func orEmpty(value any) any {
	if value == nil {
		return ""
	}
	return value
}

// messageID names a message. A request that is made again has the same id, so that the
// receiver can recognize it. The id ends in a number, which goes up when the content
// changes, because it is news when a person becomes again what they were before. The
// last id is the profile's Remote.
func messageID(p connector.Profile, text []byte) string {
	sum := sha256.Sum256(append([]byte(p.UserID+"\x00"), text...))
	content := "msg_" + hex.EncodeToString(sum[:12])
	last, number, _ := strings.Cut(p.Remote, "-")
	if last == content {
		return p.Remote
	}
	n, _ := strconv.Atoi(number) // none is 0
	return content + "-" + strconv.Itoa(n+1)
}

// Content is the body of the request, so that a changed template is news.
func (d *destination) Content(p connector.Profile) any {
	text, err := d.body.updated(p)
	if err != nil {
		return p // cannot be sent either
	}
	return string(text)
}

// target is the host that requests go to.
func (d *destination) target() connector.Target { return connector.Target{Place: d.url.Host} }

// Push tells the receiver of each person.
func (d *destination) Push(ctx context.Context, people []connector.Profile) ([]connector.Result, error) {
	return d.client.Each(ctx, people, d.push)
}

func (d *destination) push(ctx context.Context, p connector.Profile) (connector.Result, error) {
	text, err := d.body.updated(p)
	if err != nil {
		return connector.Result{}, fmt.Errorf("write the body: %w", err)
	}
	id := messageID(p, text)
	if _, err := d.send(ctx, cmp.Or(d.settings.Method, http.MethodPost), id, text); err != nil {
		return connector.Result{}, fmt.Errorf("send the message: %w", err)
	}
	return connector.Did.Outcome(connector.Synced, d.target(), id), nil
}

// Preview makes the body and sends nothing, because the receiver could not tell a
// preview from a push.
func (d *destination) Preview(_ context.Context, p connector.Profile) (connector.Result, error) {
	if _, err := d.body.updated(p); err != nil {
		return connector.Rejected(err), nil
	}
	return connector.Would.Outcome(connector.Synced, d.target(), ""), nil
}

// Remove tells the receiver to erase a person.
func (d *destination) Remove(ctx context.Context, p connector.Profile) (connector.Result, error) {
	text, err := d.body.removed(p)
	if err != nil {
		return connector.Result{}, fmt.Errorf("write the body: %w", err)
	}
	method := cmp.Or(d.settings.Removal, http.MethodPost)
	response, err := d.send(ctx, method, messageID(p, text), text)
	gone := connector.NotFound(response) && method == http.MethodDelete
	if err != nil && !gone {
		return connector.Result{}, fmt.Errorf("send the removal: %w", err)
	}
	return connector.RemovalRequested(d.url.Host), nil
}
