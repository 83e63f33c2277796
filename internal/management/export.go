package management

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"usersync/internal/erasure"
	"usersync/internal/event"
	"usersync/internal/export"
	"usersync/internal/platform"
	"usersync/internal/provision"
	"usersync/internal/reaction"
	"usersync/internal/store"
	"usersync/internal/tenant"
	"usersync/internal/user"
	"usersync/internal/usersync"
)

// exportPage is how many requests are held in memory at a time, also while a slow
// caller reads. With 50 colleagues and three messages each, they take some hundred
// kilobytes.
const exportPage = 10

// Export writes everything held about a user as one JSON object, page by page, so
// that a user with very many requests takes no more memory than one with few. It
// returns user.ErrNotFound before anything is written.
func (s *Service) Export(ctx context.Context, o tenant.Organization, id string, to io.Writer) error {
	org := s.Store.Org(o.ID)
	u, err := user.Get(ctx, org, id)
	if err != nil {
		return fmt.Errorf("read the user: %w", err)
	}
	e := &exporter{ctx: ctx, org: org, user: u, to: to}
	if err := e.records(o); err != nil {
		return fmt.Errorf("export what there is one of: %w", err)
	}
	if err := e.lists(); err != nil {
		return fmt.Errorf("export the lists: %w", err)
	}
	return e.text("}")
}

// exporter writes one export.
type exporter struct {
	ctx       context.Context
	org       *store.Org
	user      user.Stored
	colleague *export.ColleagueRecord
	to        io.Writer
	begun     bool
}

func (e *exporter) text(s string) error {
	_, err := io.WriteString(e.to, s)
	return err
}

// name begins a member of the object.
func (e *exporter) name(name string) error {
	before := ","
	if !e.begun {
		before, e.begun = "{", true
	}
	return e.text(before + `"` + name + `":`)
}

// value writes v as the other answers do: no newline, no HTML escapes.
func (e *exporter) value(v any) error {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return fmt.Errorf("encode a value: %w", err)
	}
	_, err := e.to.Write(bytes.TrimSuffix(out.Bytes(), []byte("\n")))
	return err
}

func (e *exporter) member(name string, v any) error {
	if err := e.name(name); err != nil {
		return err
	}
	return e.value(v)
}

// exportedUser is the user with the order in which the fields were set.
type exportedUser struct {
	UserView
	Sequences map[usersync.Field]int64 `json:"sequences"`
}

// records writes the members that are no lists. It reads all of them before it
// writes the first byte.
func (e *exporter) records(o tenant.Organization) error {
	person, err := export.FindDirectoryEntry(e.ctx, e.org, e.user.Email)
	if err != nil {
		return fmt.Errorf("read the entry of the directory: %w", err)
	}
	if e.colleague, err = export.FindColleagueRecord(e.ctx, e.org, e.user.Email); err != nil {
		return fmt.Errorf("read the record as a colleague: %w", err)
	}
	erased, err := user.ErasedAt(e.ctx, e.org, o.Salt, e.user.Email)
	if err != nil {
		return fmt.Errorf("read when the address was erased: %w", err)
	}
	provisioned, err := provision.GetUser(e.ctx, e.org, e.user.ID)
	if err != nil && !errors.Is(err, provision.ErrNoUser) {
		return fmt.Errorf("read what was provisioned: %w", err)
	}
	views, err := withConsents(e.ctx, e.org, []user.Stored{e.user}, nil)
	if err != nil {
		return fmt.Errorf("read the consents: %w", err)
	}
	if views[0].Platforms, err = platform.Standings(e.ctx, e.org, e.user.ID); err != nil {
		return err
	}
	members := []struct {
		name  string
		value any
	}{
		{"exportedAt", usersync.Time{Time: time.Now()}},
		{"user", exportedUser{views[0], e.user.Sequences}},
		{"directoryEntry", person},
		{"colleagueRecord", e.colleague},
	}
	for _, m := range members {
		if err := e.member(m.name, m.value); err != nil {
			return fmt.Errorf("write the member: %w", err)
		}
	}
	if provisioned.ID() != "" {
		if err := e.member("provisioned", provisioned.Resource()); err != nil {
			return err
		}
	}
	if erased.IsZero() {
		return nil
	}
	return e.member("erasedBefore", erased)
}

func (e *exporter) lists() error {
	if err := list(e, "colleaguesFound", func(after string) ([]export.Link, error) {
		return export.ColleaguesFound(e.ctx, e.org, e.user.ID, after, exportPage)
	}, func(l export.Link) string { return l.ColleagueID }); err != nil {
		return fmt.Errorf("export the colleagues found: %w", err)
	}
	if err := list(e, "foundFor", func(after string) ([]export.Link, error) {
		if e.colleague == nil {
			return nil, nil
		}
		return export.FoundFor(e.ctx, e.org, e.colleague.ID, after, exportPage)
	}, func(l export.Link) string { return l.UserID }); err != nil {
		return fmt.Errorf("export whom they were found for: %w", err)
	}
	if err := list(e, "colleaguesInvited", func(after string) ([]export.ColleagueRecord, error) {
		return export.ColleaguesInvited(e.ctx, e.org, e.user.Email, after, exportPage)
	}, func(c export.ColleagueRecord) string { return c.ID }); err != nil {
		return fmt.Errorf("export the colleagues invited: %w", err)
	}
	if err := list(e, "requests", func(after string) ([]export.Request, error) {
		return export.Requests(e.ctx, e.org, e.user.ID, after, exportPage)
	}, func(r export.Request) string { return r.RequestID }); err != nil {
		return fmt.Errorf("export the requests: %w", err)
	}
	if err := e.mentions(); err != nil {
		return fmt.Errorf("export the mentions: %w", err)
	}
	return list(e, "events", func(before string) ([]reaction.EventView, error) {
		return reaction.List(e.ctx, e.org, event.Filter{UserID: e.user.ID, Before: before, Limit: exportPage})
	}, func(v reaction.EventView) string { return v.ID })
}

// list writes a list page by page; key returns where the next page begins.
func list[T any](e *exporter, name string, load func(from string) ([]T, error), key func(T) string) error {
	a, err := e.array(name)
	if err != nil {
		return err
	}
	from := ""
	for {
		page, err := load(from)
		if err != nil {
			return fmt.Errorf("load a page: %w", err)
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

// array writes one list of an export.
type array struct {
	*exporter
	filled bool
}

func (e *exporter) array(name string) (*array, error) {
	if err := e.name(name); err != nil {
		return nil, err
	}
	return &array{exporter: e}, e.text("[")
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
	export.Message
	// About is what it says of the person; the rest is about others.
	About json.RawMessage `json:"about,omitempty"`
}

func (e *exporter) mentions() error {
	a, err := e.array("mentions")
	if err != nil {
		return err
	}
	if e.colleague == nil {
		return a.end()
	}
	var from erasure.Cursor
	for { //lint:loop follows a cursor, page by page
		page, next, more, err := export.Mentions(e.ctx, e.org, e.colleague.ID, from, exportPage)
		if err != nil {
			return fmt.Errorf("load a page of mentions: %w", err)
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
