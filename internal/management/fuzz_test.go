package management

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"usersync/internal/invitation"
	"usersync/internal/outbound"
	"usersync/internal/tenant"
	"usersync/internal/usersync"
)

// FuzzOrganizationInput checks what settings that are taken may hold: texts and
// numbers within their bounds, no address that saving could have refused, and an
// invitation that can be written.
func FuzzOrganizationInput(f *testing.F) {
	for _, seed := range []string{
		`{"name":"Example Inc."}`, `{"name":" "}`, `{"defaultInviteLink":"javascript:alert(1)"}`, `{"defaultInviteLink":"https://x.example/?a=b"}`,
		`{"settings":{"smtp":{"host":"mail.example.com","port":465,"from":"Example <a@example.com>"}}}`, `{"settings":{"smtp":{"host":"127.0.0.1","from":"a@b.example"}}}`,
		`{"settings":{"smtp":{"host":"mail.example.com","from":"A\r\nBcc: x@example.com <a@example.com>"}}}`, `{"settings":{"smtp":{"host":"0x7f.1"}}}`,
		`{"settings":{"colleagueSources":[{"name":"hunter","apiKey":"k","url":"https://127.0.0.1"}]}}`, `{"settings":{"colleagueSources":[{"name":"people"},{"name":"people"}]}}`,
		`{"settings":{"invitationTemplate":{"subject":"Hi {{.Name}}","html":"<p>{{.x}}"}}}`, `{"settings":{"aliasDomains":[["a.example","gmail.com"]]}}`,
		`{"settings":{"rateLimit":{"rate":0.001}}}`, `{"settings":{"retentionDays":{"requests":-1}}}`, `{"settings":{"lowCreditThreshold":-1,"contactEmail":"x"}}`,
	} {
		f.Add([]byte(seed))
	}
	guard := &outbound.Guard{}
	f.Fuzz(func(t *testing.T, body []byte) {
		var in OrganizationInput
		if json.Unmarshal(body, &in) != nil || !utf8.Valid(body) {
			return
		}
		if err := in.validate(guard); err != nil {
			if usersync.CodeOf(err) != usersync.CodeInvalid {
				t.Fatalf("%q: %v", body, err)
			}
			return
		}
		var o tenant.Organization
		in.apply(&o)
		if tooLong(o.Name) || len(o.DefaultInviteLink) > maxLink {
			t.Fatalf("%q is taken as %+v", body, o)
		}
		if link := o.DefaultInviteLink; link != "" && !strings.HasPrefix(strings.ToLower(link), "http") {
			t.Fatalf("the link %q is taken", link)
		}
		checkSettings(t, guard, o.Settings)
	})
}

func checkSettings(t *testing.T, guard *outbound.Guard, s tenant.Settings) {
	t.Helper()
	if r := s.RateLimit; r.Rate < 0 || r.Rate > maxRate || r.Burst < 0 || r.Burst > maxRate {
		t.Fatalf("the rate %+v is taken", r)
	}
	for _, source := range s.ColleagueSources {
		if source.URL == "" {
			continue
		}
		if _, err := guard.CheckURL(source.URL); err != nil {
			t.Fatalf("the address %q is taken", source.URL)
		}
	}
	if m := s.SMTP; m != nil && (m.Port < 1 || m.Port > 65535 || strings.ContainsAny(m.Host+m.From, "\r\n")) {
		t.Fatalf("the mail server %+v is taken", m)
	}
	if s.InvitationTemplate == (tenant.InvitationTemplate{}) {
		return
	}
	letter, err := invitation.Render(s.InvitationTemplate, invitation.Example())
	if err != nil {
		t.Fatalf("the template %+v is taken: %v", s.InvitationTemplate, err)
	}
	if strings.ContainsAny(letter.Subject, "\r\n") {
		t.Fatalf("the subject %q has several lines", letter.Subject)
	}
}
