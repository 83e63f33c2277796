package connector_test

import (
	"strings"
	"testing"
	"time"

	"usersync/internal/connector"
)

func TestOperatorsAreWarnedBeforeAVersionRetires(t *testing.T) {
	t.Parallel()
	retires := time.Date(2028, 7, 15, 0, 0, 0, 0, time.UTC)
	platforms := []connector.Platform{{Name: "acme", Revision: connector.Revision{Name: "2026-07-15", Retires: retires}}, {Name: "other"}}
	for _, c := range []struct {
		at   time.Time
		says string
	}{
		{retires.AddDate(-1, 0, 0), ""},
		{retires.AddDate(0, -6, 0), "retires version 2026-07-15 of its API on 2028-07-15"},
		{retires, "has retired version 2026-07-15"},
		{retires.AddDate(3, 0, 0), "has retired version 2026-07-15"},
	} {
		got := connector.Retiring(platforms, c.at)
		if (len(got) == 0) != (c.says == "") || !strings.Contains(got["acme"], c.says) {
			t.Errorf("at %v: %v, want %q", c.at, got, c.says)
		}
	}
}
