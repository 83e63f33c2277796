package management

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"usersync/internal/tenant"
	"usersync/internal/usersync"
)

// names returns the names that a struct's fields have in JSON.
func names(t reflect.Type) []string {
	var out []string
	for _, f := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous {
			continue
		}
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

func TestEverySettingCanBeSetAndNoOther(t *testing.T) {
	t.Parallel()
	for stored, input := range map[reflect.Type]reflect.Type{
		reflect.TypeFor[tenant.Settings]():           reflect.TypeFor[SettingsInput](),
		reflect.TypeFor[tenant.RateLimit]():          reflect.TypeFor[RateLimitInput](),
		reflect.TypeFor[usersync.SMTP]():             reflect.TypeFor[SMTPInput](),
		reflect.TypeFor[tenant.InvitationTemplate](): reflect.TypeFor[TemplateInput](),
		reflect.TypeFor[tenant.RetentionDays]():      reflect.TypeFor[RetentionInput](),
		reflect.TypeFor[tenant.ColleagueSource]():    reflect.TypeFor[SourceInput](),
		reflect.TypeFor[tenant.Codes]():              reflect.TypeFor[TenantInput](),
	} {
		if got, want := names(input), names(stored); !slices.Equal(got, want) {
			t.Errorf("%v takes %v, want %v", input, got, want)
		}
	}
}
