package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"time"

	"usersync/internal/store"
	"usersync/internal/usersync"
)

// exportPage is how many requests are held in memory at a time: at the most,
// with 50 colleagues and three messages each, some megabytes.
const exportPage = 50

// Export writes everything held about a user as one JSON object, page by page:
// a user with very many requests takes no more memory than one with few. It
// returns store.ErrNoUser before anything is written.
func (s *Service) Export(ctx context.Context, o usersync.Organization, id string, to io.Writer) error {
	org := s.Store.Org(o.ID)
	u, err := org.User(ctx, id)
	if err != nil {
		return err
	}
	e := &export{ctx: ctx, org: org, user: u, to: to}
	if err := e.records(o); err != nil {
		return err
	}
	if err := e.lists(); err != nil {
		return err
	}
	return e.text("}")
}

// export is one export on its way.
type export struct {
	ctx       context.Context
	org       *store.Org
	user      store.StoredUser
	colleague *store.HeldColleague
	to        io.Writer
	begun     bool
}

func (e *export) text(s string) error {
	_, err := io.WriteString(e.to, s)
	return err
}

// name begins a member of the object.
func (e *export) name(name string) error {
	before := ","
	if !e.begun {
		before, e.begun = "{", true
	}
	return e.text(before + `"` + name + `":`)
}

// value writes v as the other answers do: no newline, no HTML escapes.
func (e *export) value(v any) error {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return err
	}
	_, err := e.to.Write(bytes.TrimSuffix(out.Bytes(), []byte("\n")))
	return err
}

func (e *export) member(name string, v any) error {
	if err := e.name(name); err != nil {
		return err
	}
	return e.value(v)
}

// exportedUser is the user with the order in which the fields were set.
type exportedUser struct {
	store.StoredUser
	Sequences map[usersync.Field]int64 `json:"sequences"`
}

// records writes what there is at most one of. Everything is read before the
// first byte goes out.
func (e *export) records(o usersync.Organization) error {
	person, err := e.org.HeldPerson(e.ctx, e.user.Email)
	if err != nil {
		return err
	}
	if e.colleague, err = e.org.HeldColleague(e.ctx, e.user.Email); err != nil {
		return err
	}
	erased, err := e.org.ErasedAt(e.ctx, o.Salt, e.user.Email)
	if err != nil {
		return err
	}
	members := []struct {
		name  string
		value any
	}{
		{"exportedAt", usersync.Time{Time: time.Now()}},
		{"user", exportedUser{e.user, e.user.Sequences}},
		{"directoryEntry", person},
		{"colleagueRecord", e.colleague},
	}
	for _, m := range members {
		if err := e.member(m.name, m.value); err != nil {
			return err
		}
	}
	if erased.IsZero() {
		return nil
	}
	return e.member("erasedBefore", erased)
}

func (e *export) lists() error {
	if err := list(e, "colleaguesFound", func(after string) ([]store.HeldLink, error) {
		return e.org.HeldFound(e.ctx, e.user.ID, after, exportPage)
	}, func(l store.HeldLink) string { return l.ColleagueID }); err != nil {
		return err
	}
	if err := list(e, "foundFor", func(after string) ([]store.HeldLink, error) {
		if e.colleague == nil {
			return nil, nil
		}
		return e.org.HeldFoundFor(e.ctx, e.colleague.ID, after, exportPage)
	}, func(l store.HeldLink) string { return l.UserID }); err != nil {
		return err
	}
	if err := list(e, "colleaguesInvited", func(after string) ([]store.HeldColleague, error) {
		return e.org.HeldInvited(e.ctx, e.user.Email, after, exportPage)
	}, func(c store.HeldColleague) string { return c.ID }); err != nil {
		return err
	}
	if err := list(e, "requests", func(after string) ([]store.HeldRequest, error) {
		return e.org.HeldRequests(e.ctx, e.user.ID, after, exportPage)
	}, func(r store.HeldRequest) string { return r.RequestID }); err != nil {
		return err
	}
	if err := e.mentions(); err != nil {
		return err
	}
	return list(e, "events", func(before string) ([]usersync.Event, error) {
		return e.org.Events(e.ctx, store.EventFilter{UserID: e.user.ID, Before: before, Limit: exportPage})
	}, func(v usersync.Event) string { return v.ID })
}

// list writes a list page by page; key returns where the next page begins.
func list[T any](e *export, name string, load func(from string) ([]T, error), key func(T) string) error {
	a, err := e.array(name)
	if err != nil {
		return err
	}
	from := ""
	for {
		page, err := load(from)
		if err != nil {
			return err
		}
		for _, item := range page {
			if err := a.add(item); err != nil {
				return err
			}
			from = key(item)
		}
		if len(page) < exportPage {
			return a.end()
		}
	}
}

// array is a list on its way.
type array struct {
	*export
	filled bool
}

func (e *export) array(name string) (*array, error) {
	if err := e.name(name); err != nil {
		return nil, err
	}
	return &array{export: e}, e.text("[")
}

func (a *array) add(v any) error {
	if a.filled {
		if err := a.text(","); err != nil {
			return err
		}
	}
	a.filled = true
	return a.value(v)
}

func (a *array) end() error { return a.text("]") }

// mention is a message that told others of the person.
type mention struct {
	store.HeldMessage
	// About is what it says of the person; the rest is about others.
	About json.RawMessage `json:"about,omitempty"`
}

func (e *export) mentions() error {
	a, err := e.array("mentions")
	if err != nil {
		return err
	}
	if e.colleague == nil {
		return a.end()
	}
	var from store.Cursor
	for { //lint:loop follows a cursor, page by page
		page, next, more, err := e.org.HeldMentions(e.ctx, e.colleague.ID, from, exportPage)
		if err != nil {
			return err
		}
		for _, m := range page {
			about := mention{m, about(m.Body, e.colleague.ID)}
			about.Body = nil
			if err := a.add(about); err != nil {
				return err
			}
		}
		if from = next; !more {
			return a.end()
		}
	}
}

// about returns what the body of a message says of one colleague.
func about(body json.RawMessage, colleague string) json.RawMessage {
	var message struct {
		Data struct {
			Colleagues struct {
				Items []json.RawMessage `json:"items"`
			} `json:"colleagues"`
		} `json:"data"`
	}
	if json.Unmarshal(body, &message) != nil {
		return nil
	}
	for _, item := range message.Data.Colleagues.Items {
		var one struct {
			ID string `json:"id"`
		}
		if json.Unmarshal(item, &one) == nil && one.ID == colleague {
			return item
		}
	}
	return nil
}
