package connectortest

import (
	"net/http"
	"testing"
	"time"

	"usersync/internal/connector"
	"usersync/internal/connector/ability"
	"usersync/internal/usersync"
)

// Called is one call of a platform's webhook, as it comes.
type Called struct {
	Name   string
	Header http.Header
	Body   string
	// Want is what it tells. Refused is the code that it is refused with instead.
	Want    []connector.Signal
	Refused usersync.Code
}

// Receives tries what a platform's webhook tells a connection, at a time. Each call is
// tried again with one byte of its body changed where it is signed: it must be refused.
func (p Platform) Receives(t *testing.T, cfg connector.Config, url string, at time.Time, signed bool, calls []Called) { //lint:flag signed is a property of the platform
	t.Helper()
	receive := func(c Called, body string, at time.Time) ([]connector.Signal, error) {
		return p.Kind.Receive(cfg, connector.InboundCall{Method: http.MethodPost, URLs: []string{"https://other.example.com/", url}, Header: c.Header, Body: []byte(body), At: at})
	}
	for _, c := range calls {
		got, err := receive(c, c.Body, at)
		if code := usersync.CodeOf(err); err != nil && code != c.Refused || err == nil && c.Refused != "" {
			t.Errorf("%s: %v, want it refused with %q", c.Name, err, c.Refused)
			continue
		}
		sameSignals(t, c.Name, got, c.Want)
		if !signed || c.Refused != "" {
			continue
		}
		if _, err := receive(c, c.Body+" ", at); usersync.CodeOf(err) != usersync.CodeUnauthorized {
			t.Errorf("%s: a changed body gets %v", c.Name, err)
		}
		if _, err := receive(Called{Header: http.Header{}}, c.Body, at); usersync.CodeOf(err) != usersync.CodeUnauthorized {
			t.Errorf("%s: without a signature it gets %v", c.Name, err)
		}
		for _, late := range []time.Duration{time.Hour, -time.Hour} {
			if _, err := receive(c, c.Body, at.Add(late)); usersync.CodeOf(err) != usersync.CodeUnauthorized {
				t.Errorf("%s: replayed after %s it gets %v", c.Name, late, err)
			}
		}
	}
}

func sameSignals(t *testing.T, name string, got, want []connector.Signal) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%s: tells %+v, want %+v", name, got, want)
		return
	}
	for i := range got {
		g, w := got[i], want[i]
		if !g.At.Equal(w.At) {
			t.Errorf("%s: happened at %s, want %s", name, g.At, w.At)
		}
		g.At, w.At = time.Time{}, time.Time{}
		if g != w {
			t.Errorf("%s: tells %+v, want %+v", name, g, w)
		}
	}
}

// resolves asks who is meant by the ids that the platform's webhooks name.
func resolves(f *fixture) {
	r, ok := ability.ResolverOf(f.connector)
	if !ok {
		f.Skip("the platform tells of people by their addresses")
	}
	ada := Ada(f)
	f.bringOne(&ada)
	id := f.Held(ada).ID
	found, err := r.Resolve(f.Context(), []string{id, "999999"})
	f.isOurs(err)
	if err != nil || len(found) != 1 || found[id] != ada.Email.Display() {
		f.Errorf("%d found, %v", len(found), err)
	}
}
