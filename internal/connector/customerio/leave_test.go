package customerio_test

import (
	"slices"
	"testing"

	"usersync/internal/connector"
	"usersync/internal/connector/ability"
	"usersync/internal/connector/connectortest"
	"usersync/internal/connector/customerio/fake"
)

func TestWithoutAnAppKeyTheTagsOfTheConnectionAreWhatIsLeftOfTags(t *testing.T) {
	t.Parallel()
	a := platform.Serve(t)
	config := a.Config(`{"tags":["customer","trial"]}`)
	config.Credentials = []byte(`{"siteId":"` + fake.SiteID + `","apiKey":"` + fake.APIKey + `"}`)
	c := a.DialAs(config)
	ada := connectortest.Ada(t)
	a.Push(c, ada)
	l, ok := ability.LeaverOf(c)
	if !ok {
		t.Fatal("nobody can be taken off")
	}
	results, err := l.Leave(t.Context(), []connector.Profile{ada}, ability.Departure{Tags: []string{"trial"}})
	if err != nil || len(results) != 1 || results[0].Status != connector.Removed {
		t.Fatalf("got %+v, %v", results, err)
	}
	if tags := a.Held(ada).Tags; !slices.Equal(tags, []string{"customer"}) {
		t.Errorf("left are the tags %v", tags)
	}
}
