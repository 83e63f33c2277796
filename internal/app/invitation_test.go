package app_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"usersync/internal/app"
	"usersync/internal/app/apptest"
	"usersync/internal/mail/mailtest"
	"usersync/internal/tenant"
)

func TestInvitationGoesOutAsTheOrganizationWroteIt(t *testing.T) {
	t.Parallel()
	apptest.Each(t, func(t *testing.T, e *apptest.Environment) {
		server := mailtest.Start(t)
		e.MailRoots = server.Roots
		a := e.Start(t, app.All)
		client := a.Client(t)
		o, err := tenant.Create(t.Context(), a.Store, "test", tenant.Organization{Name: "Acme", DefaultInviteLink: "https://app.example.com/join?a=1&b=2"})
		must(t, err)
		_, key, err := tenant.CreateKey(t.Context(), a.Store, "test", o.ID, tenant.Key{Name: "k"})
		must(t, err)
		call := func(method, path, body string) apptest.Answer {
			return client.Do(t, apptest.Call{Method: method, Path: path, Body: []byte(body),
				Header: http.Header{"X-Api-Key": {key.Reveal()}, "Content-Type": {"application/json"}}})
		}
		smtp := server.Settings()
		call(http.MethodPatch, "/v1/organization", fmt.Sprintf(`{"settings":{"smtp":{"host":%q,"port":%d,"username":%q,"password":%q,"from":%q},
			"invitationTemplate":{"subject":"{{.organization}} for {{.name}}","text":"{{.inviterEmail}}: {{.inviteLink}}","html":"<a href=\"{{.inviteLink}}\">{{.name}}</a>"}}}`,
			smtp.Host, smtp.Port, smtp.Username, smtp.Password.Reveal(), smtp.From))
		made := call(http.MethodPost, "/v1/colleagues-create", `{"name":"Ann <Example>","email":"ann@acme.example.com","companyName":"Acme","toBeInvitedById":"john@acme.example.com"}`)
		_, rest, _ := strings.Cut(string(made.Body), `"id":"`)
		id, _, _ := strings.Cut(rest, `"`)
		apptest.Eventually(t, "the settings are in force and the letter is sent", func() bool {
			return strings.Contains(string(call(http.MethodPost, "/v1/send-invitation", `{"colleagueId":"`+id+`"}`).Body), `"emailSent":true`)
		})
		letters := server.Letters()
		letter := letters[len(letters)-1]
		data := strings.ReplaceAll(string(letter.Data), "=\r\n", "") // quoted-printable line ends
		if !letter.TLS || letter.Username != mailtest.Username || letter.To != "ann@acme.example.com" {
			t.Errorf("%+v", letter)
		}
		for _, want := range []string{"Subject: Acme for Ann <Example>", "john@acme.example.com: https://app.example.com/join?a=3D1&b=3D2",
			`<a href=3D"https://app.example.com/join?a=3D1&amp;b=3D2">Ann &lt;Example&gt;</a>`} {
			if !strings.Contains(data, want) {
				t.Errorf("the letter lacks %q:\n%s", want, data)
			}
		}
	})
}
