package connector_test

import (
	"context"
	"encoding/json"
	"fmt"

	"usersync/internal/connector"
	"usersync/internal/usersync"
)

type acmeCredentials struct {
	Key usersync.Secret `json:"key" help:"An API key with the scope contacts."`
}

type acmeSettings struct {
	List   string            `json:"list" help:"The list that people are put on." role:"list"`
	Fields connector.Mapping `json:"fields,omitempty" help:"The platform's fields and what goes into them."`
}

// Validate finds what the types cannot say.
func (s acmeSettings) Validate() []usersync.FieldError { return s.Fields.Check("fields") }

// acme is a connection. The methods that the example does not call are left out.
type acme struct {
	connector.Connector
	settings acmeSettings
	facts    connector.Facts
}

func (a acme) Preview(context.Context, connector.Profile) (connector.Result, error) {
	list := connector.Target{Place: connector.Named("list", a.facts.NameOf("list", a.settings.List))}
	return connector.Would.Outcome(connector.Added, list, ""), nil
}

func openAcme(_ acmeCredentials, s acmeSettings, facts connector.Facts, _ *connector.Client) (connector.Connector, error) {
	return acme{settings: s, facts: facts}, nil
}

func ExampleDefine() {
	kind := connector.Define(connector.Platform{Name: "acme", Title: "Acme", Batch: 500}, openAcme)
	for _, f := range append(kind.Credentials, kind.Settings[:2]...) {
		fmt.Printf("%s is a %s, required: %v\n", f.Name, f.Type, f.Required)
	}

	// A connection that is not complete is refused, with the fields that are wrong.
	_, err := kind.Open(connector.Config{Settings: json.RawMessage(`{"list":"7","fields":{"FNAME":"forename"}}`)}, &connector.Client{})
	for _, f := range usersync.AsError(err).Fields {
		fmt.Println(f.Field, f.Message)
	}

	config := connector.Config{
		Credentials: json.RawMessage(`{"key":"0123456789"}`),
		Settings:    json.RawMessage(`{"list":"7"}`),
		Facts:       connector.Facts{Labels: map[string]string{"list:7": "active-clients"}}, // as a check learns them
	}
	connection, err := kind.Open(config, &connector.Client{})
	if err != nil {
		fmt.Println(err)
		return
	}
	result, _ := connection.Preview(context.Background(), connector.Profile{FirstName: "Ada"})
	fmt.Println(result.Details)
	// Output:
	// key is a secret, required: true
	// list is a string, required: true
	// fields is a map, required: false
	// credentials.key is required: An API key with the scope contacts.
	// settings.fields.FNAME must be one of userId, email, firstName, lastName, name, country, jobTitle, inviteLink, or attributes. and a name
	// User would be added to the 'active-clients' list
}
