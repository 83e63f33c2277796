package mail_test

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"usersync/internal/mail"
	"usersync/internal/mail/mailtest"
	"usersync/internal/outbound"
	"usersync/internal/usersync"
)

var loopback = &outbound.Guard{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}}

func letter() mail.Letter {
	return mail.Letter{To: usersync.NewEmail("Ann@example.org", "ann@example.org"), ToName: "Ann Müller", Subject: "Grüße",
		Text: "Come in:\nhttps://app.example.com/join\n", HTML: `<p><a href="https://app.example.com/join">Come in</a></p>`}
}

func sender(s *mailtest.Server) *mail.Sender {
	return &mail.Sender{Guard: loopback, Roots: s.Roots, Timeout: 10 * time.Second}
}

func TestSendSpeaksTLSBeforeItLogsIn(t *testing.T) {
	t.Parallel()
	server := mailtest.Start(t)
	id, err := sender(server).Send(t.Context(), server.Settings(), letter())
	if err != nil {
		t.Fatal(err)
	}
	got := server.Letters()
	if len(got) != 1 || !got[0].TLS || got[0].Username != mailtest.Username || got[0].To != "Ann@example.org" || got[0].From != "invite@example.com" {
		t.Fatalf("%+v", got)
	}
	data := string(got[0].Data)
	for _, want := range []string{"Message-ID: <" + id + ">", "=?UTF-8?", "multipart/alternative", "https://app.example.com/join", "Date: "} {
		if !strings.Contains(data, want) {
			t.Errorf("the letter lacks %q:\n%s", want, data)
		}
	}
}

func TestSendGivesNoPasswordWithoutTLS(t *testing.T) {
	t.Parallel()
	server := mailtest.Start(t, mailtest.WithoutTLS)
	_, err := sender(server).Send(t.Context(), server.Settings(), letter())
	if usersync.CodeOf(err) != usersync.CodeUnavailable || !strings.Contains(err.Error(), "STARTTLS") {
		t.Errorf("%v", err)
	}
	open := server.Settings()
	open.Username = ""
	if _, err := sender(server).Send(t.Context(), open, letter()); err != nil {
		t.Errorf("without a login: %v", err)
	}
}

func TestSendChecksTheCertificate(t *testing.T) {
	t.Parallel()
	server := mailtest.Start(t)
	s := sender(server)
	s.Roots = nil
	_, err := s.Send(t.Context(), server.Settings(), letter())
	if err == nil || len(server.Letters()) != 0 || !strings.Contains(err.Error(), "certificate is not valid") {
		t.Errorf("%v", err)
	}
}

func TestSendTellsWhatWentWrong(t *testing.T) {
	t.Parallel()
	server := mailtest.Start(t)
	for name, c := range map[string]struct {
		change  func(*usersync.SMTP)
		code    int
		want    usersync.Code
		message string
	}{
		"wrong password":   {change: func(s *usersync.SMTP) { s.Password.Secret = usersync.NewSecret("x") }, want: usersync.CodeUnauthorized, message: "user name or password"},
		"refused for good": {code: 550, want: usersync.CodeRejected, message: "(550)"},
		"refused for now":  {code: 451, want: usersync.CodeUnavailable, message: "(451)"},
		"no sender":        {change: func(s *usersync.SMTP) { s.From = "nobody" }, want: usersync.CodeInvalid, message: "smtp.from"},
		"nobody listens":   {change: func(s *usersync.SMTP) { s.Port = closedPort(t) }, want: usersync.CodeUnavailable, message: "cannot be reached"},
		"guarded address":  {change: func(s *usersync.SMTP) { s.Host = "169.254.169.254" }, want: usersync.CodeUnavailable, message: "cannot be reached"},
	} {
		settings := server.Settings()
		if c.change != nil {
			c.change(&settings)
		}
		server.Refuse(c.code, "no such user ann@example.org")
		_, err := sender(server).Send(t.Context(), settings, letter())
		e := usersync.AsError(err)
		if e == nil || e.Code != c.want || !strings.Contains(e.Message, c.message) || strings.Contains(e.Message, "ann@") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSendEndsWithItsTimeout(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = silent.Close() })
	settings := usersync.SMTP{Host: "127.0.0.1", Port: silent.Addr().(*net.TCPAddr).Port, From: "invite@example.com"}
	s := &mail.Sender{Guard: loopback, Timeout: 50 * time.Millisecond}
	if _, err := s.Send(context.Background(), settings, letter()); usersync.CodeOf(err) != usersync.CodeUnavailable {
		t.Errorf("%v", err)
	}
}

func TestSendKeepsHeadersWhole(t *testing.T) {
	t.Parallel()
	server := mailtest.Start(t, func(s *smtp.Server) { s.MaxMessageBytes = 1 << 20 })
	l := letter()
	l.Subject, l.ToName = "a\r\nBcc: eve@example.net", "b\r\nX-Evil: yes"
	if _, err := sender(server).Send(t.Context(), server.Settings(), l); err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(string(server.Letters()[0].Data), "\r\n") {
		if strings.HasPrefix(line, "Bcc:") || strings.HasPrefix(line, "X-Evil:") {
			t.Errorf("a header was smuggled in: %s", line)
		}
	}
}

func closedPort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port
}

// TestAddressesGoOutAsTheyAreMeant checks both addresses of a letter in every form: on
// the wire there is the address alone, a local part is quoted once if at all, and EHLO
// names the sender's domain.
func TestAddressesGoOutAsTheyAreMeant(t *testing.T) {
	t.Parallel()
	server := mailtest.Start(t)
	for _, c := range []struct{ from, to, wantFrom, wantTo, header string }{
		{"invite@example.com", "ann@example.org", "invite@example.com", "ann@example.org", "<ann@example.org>"},
		{"Example <invite@example.com>", "ann@example.org", "invite@example.com", "ann@example.org", "<ann@example.org>"},
		{"<invite@example.com>", "ann@example.org", "invite@example.com", "ann@example.org", "<ann@example.org>"},
		{`"Example, Inc. @ home" <invite@example.com>`, "Ann.B+c@Example.org", "invite@example.com", "Ann.B+c@Example.org", "<Ann.B+c@Example.org>"},
		{`Example <"in vite"@example.com>`, `"ann b"@example.org`, "in vite@example.com", "ann b@example.org", `<"ann b"@example.org>`},
		{"invite@example.com", `"ann"@example.org`, "invite@example.com", "ann@example.org", "<ann@example.org>"},
		{"invite@example.com", `"a\"b\\c@d"@example.org`, "invite@example.com", `a"b\c@d@example.org`, `<"a\"b\\c@d"@example.org>`},
	} {
		settings, l := server.Settings(), letter()
		settings.From, l.To, l.ToName = c.from, usersync.NewEmail(c.to, strings.ToLower(c.to)), ""
		if _, err := sender(server).Send(t.Context(), settings, l); err != nil {
			t.Errorf("from %s to %s: %v", c.from, c.to, err)
			continue
		}
		letters := server.Letters()
		got := letters[len(letters)-1]
		if got.From != c.wantFrom || got.To != c.wantTo || got.Hello != "example.com" || !strings.Contains(string(got.Data), "To: "+c.header) {
			t.Errorf("from %s to %s: EHLO %s, from %s to %s\n%s", c.from, c.to, got.Hello, got.From, got.To, got.Data)
		}
	}
}

// TestSendDoesNotTellWhatANameResolvesTo checks that a name that does not resolve, one
// that resolves to an inner address, and a host that refuses the connection have one
// answer: the tenant must not learn the names of the operator's network.
func TestSendDoesNotTellWhatANameResolvesTo(t *testing.T) {
	t.Parallel()
	server := mailtest.Start(t)
	public := sender(server)
	public.Guard = new(outbound.Guard)
	answers := map[string]bool{}
	for _, c := range []struct {
		sender *mail.Sender
		host   string
	}{
		{sender(server), "does-not-resolve.invalid"}, {public, "does-not-resolve.invalid"}, {public, "localhost"}, {public, "127.0.0.1"},
		{public, "169.254.169.254"}, {sender(server), "localhost"},
	} {
		for _, port := range []int{closedPort(t), 465} {
			settings := server.Settings()
			settings.Host, settings.Port = c.host, port
			_, err := c.sender.Send(t.Context(), settings, letter())
			if err == nil {
				t.Fatalf("%s: sent", c.host)
			}
			e := usersync.AsError(err)
			answers[string(e.Code)+" "+e.Message] = true
		}
	}
	if len(answers) != 1 {
		t.Errorf("the answers differ: %v", answers)
	}
}
