// Package fake is a receiver for the HTTP destination. It checks signatures, takes
// each message once, and keeps the people it was told of.
package fake

import (
	"bytes"
	"io"
	"net/http"
	"sync"
	"time"

	"usersync/internal/connector"
	"usersync/internal/connector/fakeplatform"
	"usersync/internal/usersync"
	"usersync/internal/webhooksig"
)

// secret is what the receiver checks signatures with. It signs nothing real.
const secret = "whsec_ZmFrZS1yZWNlaXZlci1vZi11c2Vyc3luYy0wMDAx"

// tolerance is how old a signature may be, as Standard Webhooks proposes.
const tolerance = 5 * time.Minute

// Fake is one receiver.
type Fake struct {
	people *fakeplatform.People

	mu   sync.Mutex
	seen map[string]bool // ids of messages
}

// New returns a receiver that knows nobody.
func New() *Fake { return &Fake{people: fakeplatform.NewPeople(), seen: map[string]bool{}} }

// Name returns the connector's name.
func (*Fake) Name() string { return "http" }

// Config is a connection that the receiver takes.
func (*Fake) Config() connector.Config {
	return fakeplatform.Config(
		`{"secret":"`+secret+`"}`,
		`{"url":"https://receiver.example/users","attributes":["plan"]}`)
}

// Fields are attributes, which arrive by their own names.
func (*Fake) Fields() fakeplatform.Fields {
	return fakeplatform.Fields{Setting: "attributes", Text: "attributes.suiteText", Number: "attributes.suiteNumber",
		Date: "attributes.suiteDate", Day: "2026-03-04", Moment: "2026-03-04T10:30:00+02:00", AnyDate: true,
		List: "attributes.suiteList", Several: []string{"gold", "new"}}
}

// People are those the receiver was told of.
func (f *Fake) People() *fakeplatform.People { return f.people }

// Refuse answers with a sentence.
func (*Fake) Refuse(w http.ResponseWriter, status int) {
	http.Error(w, http.StatusText(status), status)
}

// ServeHTTP takes one message.
func (f *Fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		f.Refuse(w, http.StatusBadRequest)
		return
	}
	if err := webhooksig.Verify(usersync.NewSecret(secret), r.Header, body, time.Now(), tolerance); err != nil {
		f.Refuse(w, http.StatusUnauthorized)
		return
	}
	if r.Method == http.MethodHead {
		return
	}
	var message struct {
		Type string         `json:"type"`
		Data map[string]any `json:"data"`
	}
	if err := fakeplatform.Read(bytes.NewReader(body), &message); err != nil {
		f.Refuse(w, http.StatusBadRequest)
		return
	}
	w.WriteHeader(f.take(r.Header.Get(webhooksig.HeaderID), message.Type, message.Data))
}

// take does what a message says, once, and returns the status to answer with.
func (f *Fake) take(id, kind string, data map[string]any) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.seen[id] {
		return http.StatusNoContent
	}
	email, _ := data["email"].(string)
	if one, ok := f.people.Get(email); ok && one.Refused || email == "" {
		return http.StatusUnprocessableEntity
	}
	f.seen[id] = true
	if kind == "user.removed" {
		f.people.Delete(email)
		return http.StatusNoContent
	}
	f.people.Put(email, func(one *fakeplatform.Person, _ bool) { one.Fields = data })
	return http.StatusNoContent
}
