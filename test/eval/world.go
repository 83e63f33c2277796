package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"

	"usersync/internal/colleague"
	"usersync/internal/config"
	"usersync/internal/credit"
	"usersync/internal/directory"
	"usersync/internal/identity"
	"usersync/internal/intake"
	"usersync/internal/request"
	"usersync/internal/seal"
	"usersync/internal/store"
	"usersync/internal/tenant"
	"usersync/internal/user"
	"usersync/internal/usersync"
)

// world is a database that cases are run in, each in an organization of its
// own. db is a second connection, for what there is no call for: times, and
// colleagues in a certain state.
type world struct {
	store  *store.Store
	db     *sql.DB
	search colleague.Search
}

func newWorld(ctx context.Context, dir string) (*world, error) {
	keys, err := seal.ParseKeys(config.NewSealingKeys())
	if err != nil {
		return nil, err
	}
	s, err := store.Open(ctx, store.Options{Dir: dir, Seal: keys})
	if err != nil {
		return nil, err
	}
	if _, err := s.Migrate(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "usersync.db")+"?_pragma=busy_timeout(10000)&_pragma=synchronous(OFF)")
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return &world{s, db, colleague.Search{Own: []colleague.Source{colleague.Users{}, colleague.Directory{}}}}, nil
}

func (w *world) close() error { return errors.Join(w.db.Close(), w.store.Close()) }

// run searches for the target of a case.
func (w *world) run(ctx context.Context, c *labelled) (colleague.Result, error) {
	target, err := newTarget(c.target)
	if err != nil {
		return colleague.Result{}, err
	}
	o, err := tenant.Create(ctx, w.store, "eval", tenant.Organization{Name: c.place})
	if err != nil {
		return colleague.Result{}, err
	}
	p := &population{world: w, organization: o}
	for _, h := range c.people {
		if err := p.add(h); err != nil {
			return colleague.Result{}, fmt.Errorf("%s: %w", h.address, err)
		}
	}
	for i := range c.crowd {
		if err := p.add(human{address: fmt.Sprintf("x%d@acme.example", i), name: fmt.Sprintf("Xaver Number%d", i), title: "Clerk", country: "NO", old: true}); err != nil {
			return colleague.Result{}, err
		}
	}
	if err := p.store(ctx); err != nil {
		return colleague.Result{}, err
	}
	results, err := w.search.Run(ctx, w.store.Org(o.ID), tenant.Settings{AliasDomains: c.aliases}, []colleague.Target{target})
	if err != nil {
		return colleague.Result{}, err
	}
	return results[0], nil
}

func newTarget(h human) (colleague.Target, error) {
	email, err := identity.ParseEmail(h.address)
	alpha2, _ := identity.ParseCountry(h.country)
	return colleague.Target{Email: email, Name: h.name, Country: alpha2, JobTitle: h.title}, err
}

// population is the people of one case.
type population struct {
	*world
	organization tenant.Organization
	people       []directory.Person
	users        []*intake.Acceptance
	hand         []handMade
	deleted      []usersync.Email
	old          []usersync.Email
}

type handMade struct {
	human
	user.Identity
	email usersync.Email
}

func (p *population) add(h human) error {
	email, err := identity.ParseEmail(h.address)
	if err != nil {
		return err
	}
	alpha2, _ := identity.ParseCountry(h.country)
	in := usersync.UserInput{Email: email, Country: alpha2, Name: h.name, JobTitle: h.title}
	follows := user.IdentityOf(in)
	switch {
	case h.user:
		p.users = append(p.users, &intake.Acceptance{RequestID: usersync.NewID(usersync.PrefixRequest), Kind: request.KindUserSync,
			Salt: p.organization.Salt, User: intake.NewUser{UserInput: in, Identity: follows}})
	case h.hand:
		p.hand = append(p.hand, handMade{h, follows, email})
	default:
		p.people = append(p.people, directory.Person{Email: email, Name: h.name, JobTitle: h.title, Country: alpha2, Identity: follows})
	}
	if h.deleted {
		p.deleted = append(p.deleted, email)
	}
	if h.old {
		p.old = append(p.old, email)
	}
	return nil
}

// Times of records, in microseconds: equal, so that only what the case says
// makes a difference.
const (
	changed      = 2_000_000
	changedOlder = 1_000_000
)

func (p *population) store(ctx context.Context) error {
	if err := directory.SavePeople(ctx, p.world.store.Org(p.organization.ID), p.organization.Salt, p.people); err != nil {
		return err
	}
	if err := p.acceptUsers(ctx); err != nil {
		return err
	}
	for _, h := range p.hand {
		if err := p.insertColleague(ctx, h); err != nil {
			return err
		}
	}
	for _, email := range p.deleted {
		if err := p.insertColleague(ctx, handMade{human: human{deleted: true}, email: email}); err != nil {
			return err
		}
	}
	for _, table := range []string{"people", "users", "colleagues"} {
		if err := p.exec(ctx, "UPDATE "+table+" SET updated_at = ?, created_at = ? WHERE organization_id = ?", changed, changed, p.organization.ID); err != nil {
			return err
		}
		for _, email := range p.old {
			if err := p.exec(ctx, "UPDATE "+table+" SET updated_at = ?, created_at = ? WHERE organization_id = ? AND email_key = ?",
				changedOlder, changedOlder, p.organization.ID, email.Key()); err != nil {
				return err
			}
		}
	}
	return nil
}

// acceptUsers makes users as accepted requests do.
func (p *population) acceptUsers(ctx context.Context) error {
	if len(p.users) == 0 {
		return nil
	}
	if _, err := credit.TopUp(ctx, p.world.store, "eval", p.organization.ID, 1, "eval"); err != nil {
		return err
	}
	key, _, err := tenant.CreateKey(ctx, p.world.store, "eval", p.organization.ID, tenant.Key{Name: "eval"})
	if err != nil {
		return err
	}
	sub := &intake.Submission{Organization: p.organization.ID, KeyID: key.ID, Items: p.users}
	if err := intake.Accept(ctx, p.world.store, []*intake.Submission{sub}); err != nil {
		return err
	}
	if sub.Err != nil {
		return sub.Err
	}
	return nil
}

// insertColleague writes a colleague record. Only one made by hand has what the
// search compares by.
func (p *population) insertColleague(ctx context.Context, h handMade) error {
	status := colleague.Pending
	if h.deleted {
		status = colleague.Deleted
	}
	return p.exec(ctx, `INSERT INTO colleagues (id, organization_id, email_key, email, name, job_title, status, company, department, seniority, created_at, updated_at)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1, 1) ON CONFLICT (organization_id, email_key) DO UPDATE SET status = excluded.status`,
		usersync.NewID(usersync.PrefixColleague), p.organization.ID, h.email.Key(), h.email.Display(), h.name, h.title, status,
		h.Company, h.Department, h.Seniority)
}

func (p *population) exec(ctx context.Context, statement string, args ...any) error {
	_, err := p.db.ExecContext(ctx, statement, args...)
	return err
}
