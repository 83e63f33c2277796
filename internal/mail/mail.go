// Package mail sends single e-mails through an organization's own SMTP server.
// It is the only importer of the SMTP library.
package mail

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	netmail "net/mail"
	"net/textproto"
	"os"
	"strings"
	"time"

	"github.com/wneessen/go-mail"

	"usersync/internal/outbound"
	"usersync/internal/usersync"
)

// Sender sends e-mails. It is safe for concurrent use.
type Sender struct {
	Guard *outbound.Guard
	// Roots are the authorities that are trusted for TLS. nil means those of the
	// system.
	Roots *x509.CertPool
	// Timeout bounds one e-mail, from the dial to the last answer, whatever the server
	// does.
	Timeout time.Duration
	// Resolver looks up names. nil means the system's resolver.
	Resolver *net.Resolver
}

// Letter is one e-mail for one person.
type Letter struct {
	To      usersync.Email
	ToName  string
	Subject string
	Text    string
	HTML    string // "" if the letter has only text
}

// implicitTLS is the port on which a server speaks TLS from the first byte (RFC 8314,
// section 3.3). On all other ports TLS begins with STARTTLS.
const implicitTLS = 465

// Send hands a letter to the server and returns its Message-ID. A password never goes
// over a connection without TLS. Errors may be shown to the organization. They have
// code invalid for settings or an address that cannot be used, unauthorized for
// refused credentials, rejected for a letter that the server refuses for good, and
// unavailable for everything else.
func (s *Sender) Send(ctx context.Context, server usersync.SMTP, letter Letter) (id string, err error) {
	from, err := netmail.ParseAddress(server.From)
	if err != nil {
		return "", usersync.Errorf(usersync.CodeInvalid, "The sender's address smtp.from cannot be used.").Because(err)
	}
	message, err := compose(from, letter)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, s.Timeout)
	defer cancel() // which closes what the library leaves open
	client, err := s.client(ctx, server, from)
	if err != nil {
		return "", usersync.Errorf(usersync.CodeInvalid, "The SMTP settings cannot be used.").Because(err)
	}
	// A server that has taken the letter may say goodbye as it likes.
	if err := client.DialAndSendWithContext(ctx, message); err != nil && !message.IsDelivered() {
		return "", explain(err)
	}
	return strings.Trim(message.GetMessageID(), "<>"), nil
}

// compose writes the letter. Its addresses are parsed ones, which the library quotes
// where they need it.
func compose(from *netmail.Address, letter Letter) (*mail.Msg, error) {
	to, err := netmail.ParseAddress(letter.To.Display())
	if err != nil {
		return nil, usersync.Errorf(usersync.CodeInvalid, "The address of the letter cannot be used.").Because(err)
	}
	to.Name = letter.ToName
	m := mail.NewMsg()
	m.FromMailAddress(from)
	m.ToMailAddress(to)
	m.Subject(letter.Subject)
	m.SetDate()
	m.SetMessageIDWithValue(strings.TrimPrefix(usersync.NewID(usersync.PrefixMessage), "msg_") + "@" + domain(from.Address))
	m.SetBodyString(mail.TypeTextPlain, letter.Text)
	if letter.HTML != "" {
		m.AddAlternativeString(mail.TypeTextHTML, letter.HTML)
	}
	return m, nil
}

// domain returns the domain of a parsed address.
func domain(address string) string { return address[strings.LastIndexByte(address, '@')+1:] }

// client returns a client for one letter, whose connection lasts as long as ctx.
func (s *Sender) client(ctx context.Context, server usersync.SMTP, from *netmail.Address) (*mail.Client, error) {
	config := &tls.Config{ServerName: server.Host, RootCAs: s.Roots, MinVersion: tls.VersionTLS12}
	options := []mail.Option{
		mail.WithPort(server.Port), mail.WithTimeout(s.Timeout), mail.WithTLSConfig(config), mail.WithoutNoop(),
		mail.WithHELO(domain(from.Address)),
	}
	auth := mail.SMTPAuthAutoDiscover
	if server.Port == implicitTLS {
		options = append(options, mail.WithDialContextFunc(s.dialTLS(ctx, config)), mail.WithSSL())
		// The library does not see that our dialer encrypts, so it would discover
		// none of the mechanisms that need TLS.
		auth = mail.SMTPAuthPlain
	} else {
		options = append(options, mail.WithDialContextFunc(s.dial(ctx)), mail.WithTLSPolicy(policy(server)))
	}
	if server.Username != "" {
		options = append(options, mail.WithSMTPAuth(auth), mail.WithUsername(server.Username), mail.WithPassword(server.Password.Reveal()))
	}
	return mail.NewClient(hostOf(server), options...)
}

// dial returns what dials a connection for the time of ctx. The library's own context
// ends before the letter is sent.
func (s *Sender) dial(ctx context.Context) mail.DialContextFunc {
	dialer := &net.Dialer{Control: s.Guard.Control, Timeout: s.Timeout, Resolver: s.Resolver}
	return func(dialing context.Context, network, address string) (net.Conn, error) {
		c, err := dialer.DialContext(dialing, network, address)
		if err != nil {
			return nil, fmt.Errorf("dial the mail server: %w", err)
		}
		return bound(ctx, c)
	}
}

// dialTLS is dial for a server that speaks TLS from the first byte.
func (s *Sender) dialTLS(ctx context.Context, config *tls.Config) mail.DialContextFunc {
	return func(dialing context.Context, network, address string) (net.Conn, error) {
		c, err := s.dial(ctx)(dialing, network, address)
		if err != nil {
			return nil, err
		}
		secure := tls.Client(c, config)
		if err := secure.HandshakeContext(ctx); err != nil {
			_ = c.Close()
			return nil, fmt.Errorf("begin TLS with the mail server: %w", err)
		}
		return secure, nil
	}
}

// hostOf writes an IPv6 address in brackets, because the library puts the port behind
// it.
func hostOf(server usersync.SMTP) string {
	if strings.Contains(server.Host, ":") {
		return "[" + server.Host + "]"
	}
	return server.Host
}

// policy requires TLS if there is a password.
func policy(server usersync.SMTP) mail.TLSPolicy {
	if server.Username != "" {
		return mail.TLSMandatory
	}
	return mail.TLSOpportunistic
}

// explain says what went wrong. It does not quote the server, because the server's
// words may contain the address. An address that the Guard refuses, a name that does
// not resolve and a host that refuses the connection have one answer, see
// outbound.Guard.Control.
func explain(err error) error {
	if refused, ok := errors.AsType[*mail.SendError](err); ok {
		return refusal(refused)
	}
	if verification, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return usersync.Errorf(usersync.CodeUnavailable, "The mail server's certificate is not valid.").Because(verification)
	}
	if status := replyCode(err); status == 535 || status == 534 || status == 530 {
		return usersync.Errorf(usersync.CodeUnauthorized, "The mail server refuses the user name or password.").Because(loggable(err))
	}
	return usersync.Errorf(usersync.CodeUnavailable, "The mail server cannot be reached or does not offer STARTTLS.").Because(loggable(err))
}

// loggable returns the part of err that does not repeat what the server said: that is as
// long as the server likes, and may contain the address. Of any other error the type is
// kept.
func loggable(err error) error {
	if code := replyCode(err); code != 0 {
		return fmt.Errorf("the mail server replied %d", code)
	}
	if e, ok := errors.AsType[*usersync.Error](err); ok { // of the Guard
		return e
	}
	if e, ok := errors.AsType[*net.OpError](err); ok {
		return e
	}
	if e, ok := errors.AsType[*net.DNSError](err); ok {
		return e
	}
	for _, known := range []error{errTalkative, context.DeadlineExceeded, context.Canceled, os.ErrDeadlineExceeded, io.ErrUnexpectedEOF, io.EOF} {
		if errors.Is(err, known) {
			return known
		}
	}
	return fmt.Errorf("%T", err)
}

// replyCode returns the code of an SMTP reply among the causes, or 0 if there is
// none.
func replyCode(err error) int {
	if reply, ok := errors.AsType[*textproto.Error](err); ok {
		return reply.Code
	}
	return 0
}

func refusal(err *mail.SendError) error {
	status := ""
	if code := err.ErrorCode(); code > 0 {
		status = fmt.Sprintf(" (%d)", code)
	}
	step := errors.New(err.Reason.String())
	if err.IsTemp() || brokeOff(err) {
		return usersync.Errorf(usersync.CodeUnavailable, "The mail server does not take the letter now%s.", status).Because(step)
	}
	return usersync.Errorf(usersync.CodeRejected, "The mail server refuses the letter%s.", status).Because(step)
}

// brokeOff reports whether the server said nothing, rather than no. What the library
// refuses by itself has no code either.
func brokeOff(err *mail.SendError) bool {
	switch err.Reason {
	case mail.ErrGetSender, mail.ErrGetRcpts, mail.ErrNoUnencoded:
		return false
	}
	return err.ErrorCode() == 0
}
