package connectortest

import (
	"usersync/internal/connector"
	"usersync/internal/connector/ability"
	"usersync/internal/usersync"
)

// moves gives a contact another address, one that nobody has and one that is taken.
func moves(f *fixture) {
	m, ok := ability.MoverOf(f.connector)
	if !ok {
		f.Skip("the platform cannot move contacts")
	}
	move := func(p connector.Profile, from usersync.Email) connector.Result {
		f.Helper()
		r, err := m.Move(f.Context(), p, from)
		f.clean(err, r)
		if err != nil {
			f.Fatal(err)
		}
		return r
	}
	ada, grace := Ada(f), Grace(f)
	f.bringOne(&ada)
	f.bringOne(&grace)
	former, id := ada.Email, f.Held(ada).ID
	ada.Email = usersync.NewEmail("countess@"+domain, "countess@"+domain)
	r := move(ada, former)
	f.wantStatus(r, connector.Updated)
	if r.Remote != "" {
		ada.Remote = r.Remote
	}
	f.bringOne(&ada)
	if n := f.Fake.People().Len(); n != 2 {
		f.Errorf("%d contacts after the move, want 2", n)
	}
	if one := f.Held(ada); one.ID != id && f.Kind.Name != "mailchimp" { // whose ids are made of addresses
		f.Errorf("is another contact than before: %+v", one)
	}
	if r := move(ada, former); r.Status != connector.Skipped || r.Reason != ability.ReasonNoContact {
		f.Errorf("nobody has the former address: %+v", r)
	}
	if r := move(grace, ada.Email); r.Status != connector.Skipped || r.Reason != ability.ReasonTaken {
		f.Errorf("another contact has the address: %+v", r)
	}
	f.Held(ada)
	f.Held(grace)
}
