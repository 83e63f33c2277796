package doctor_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"usersync/internal/config"
	"usersync/internal/connector"
	"usersync/internal/doctor"
)

// told is what the doctor says of platforms.
func told(t *testing.T, platforms ...connector.Platform) doctor.Finding {
	t.Helper()
	p := doctor.Patient{Config: &config.Config{DataDir: t.TempDir(), EgressAllow: []netip.Prefix{}}, Platforms: platforms,
		StoreError: errors.New("there is no database")}
	for _, f := range doctor.Look(t.Context(), p) {
		if f.Thing == "platforms" {
			return f
		}
	}
	t.Fatal("nothing is said of platforms")
	return doctor.Finding{}
}

func TestAVersionThatAPlatformRetiresSoonIsToldOf(t *testing.T) {
	t.Parallel()
	revision := func(name string, days int) connector.Platform {
		return connector.Platform{Name: name, Revision: connector.Revision{Name: "v1", Retires: time.Now().AddDate(0, 0, days)}}
	}
	late, soon, gone := revision("late", 400), revision("soon", 30), revision("gone", -1)
	if f := told(t, late, connector.Platform{Name: "other"}); f.State != doctor.OK {
		t.Errorf("in 400 days: %+v", f)
	}
	f := told(t, late, soon, gone)
	if f.State != doctor.Warn || f.Next == "" || strings.Contains(f.Says, "late") ||
		!strings.Contains(f.Says, "soon: The platform retires") || !strings.Contains(f.Says, "gone: The platform has retired") {
		t.Errorf("in 30 days, and a day ago: %+v", f)
	}
}
