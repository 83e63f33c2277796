package management

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"usersync/internal/invitation"
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
		reflect.TypeFor[tenant.Codes]():              reflect.TypeFor[tenantInput](),
	} {
		if got, want := names(input), names(stored); !slices.Equal(got, want) {
			t.Errorf("%v takes %v, want %v", input, got, want)
		}
	}
}

// 32 of them were the end of the process that checked them.
func TestAnInvitationThatGrowsWithEachStepIsRefused(t *testing.T) {
	for field, template := range map[string]tenant.InvitationTemplate{
		"subject": {Subject: "{{.name" + strings.Repeat("|json", 32) + "}}"},
		"html":    {HTML: "<p>{{if eq (.name" + strings.Repeat("|json", 16) + `) ""}}{{end}}</p>`},
	} {
		_, err := invitation.Render(template, invitation.Example())
		if want := "settings.invitationTemplate." + field + ": line 1: json may not be applied to what json has written"; err == nil || usersync.AsError(err).Message != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
	much := tenant.InvitationTemplate{Subject: "Hi", Text: strings.Repeat("{{if json .name}}{{end}}", 600)}
	if _, err := invitation.Render(much, invitation.Example()); err != nil {
		t.Errorf("short values: %v", err)
	}
	if _, err := invitation.Render(much, map[string]string{"name": strings.Repeat("a", 2000)}); err == nil || !strings.Contains(err.Error(), "the values that it makes have more than") {
		t.Errorf("long values: %v", err)
	}
}
