package connectortest

import (
	"strings"

	"usersync/internal/connector"
	"usersync/internal/connector/fakeplatform"
)

// archives removes somebody by a connection that archives people. They are there no more,
// can be removed again, and come back by a push.
func archives(f *fixture) {
	archiver, ok := f.Fake.(fakeplatform.Archiver)
	if !ok {
		f.Skip("the platform cannot archive people")
	}
	values := fields(f, f.Fake.Config().Settings)
	values["archive"] = true
	settings := JSON(f, values)
	f.config = f.Config(settings)
	f.config.Facts = f.Check(settings)
	f.connector = f.open(f.config, f.client)
	ada, grace := Ada(f), Grace(f)
	f.bringOne(&ada)
	f.bringOne(&grace)
	for range 2 {
		r := f.remove(ada)
		f.wantStatus(r, connector.Removed)
		if !strings.Contains(r.Details, "archived") || !archiver.Archived(ada.Email.Display()) || archiver.Archived(grace.Email.Display()) {
			f.Errorf("%+v, but archived is %v, and of another %v", r, archiver.Archived(ada.Email.Display()), archiver.Archived(grace.Email.Display()))
		}
	}
	f.wantStatus(f.remove(Person(f, "nobody@"+domain, "No", "Body")), connector.Removed)
	if r := f.bringOne(&ada); !arrived(r) {
		f.Errorf("a push after that: %+v", r)
	}
}
