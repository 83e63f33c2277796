package sendgrid_test

import (
	"testing"

	"usersync/internal/connector/connectortest"
	"usersync/internal/connector/fakeplatform"
	"usersync/internal/connector/sendgrid"
	"usersync/internal/connector/sendgrid/fake"
)

var spec = connectortest.Spec{
	Files: []string{"tsg_mc_contacts_v3.json", "tsg_mc_custom_fields_v3.json", "tsg_mc_lists_v3.json", "tsg_recipients_data_erasure_v3.json", "tsg_suppressions_v3.json"},
	// The file of a job's errors, whose address is an answer's.
	Except: []string{"GET /files/{id}"},
}

func TestConnector(t *testing.T) {
	t.Parallel()
	connectortest.Run(t, sendgrid.Kind, func() fakeplatform.Platform { return fake.New() }, connectortest.Options{Spec: spec})
}
