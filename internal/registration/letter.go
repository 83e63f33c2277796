package registration

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"time"

	"usersync/internal/delivery"
	"usersync/internal/login"
	"usersync/internal/mail"
	"usersync/internal/outbox"
	"usersync/internal/queue"
	"usersync/internal/seal"
	"usersync/internal/store"
	"usersync/internal/template"
	"usersync/internal/tenant"
	"usersync/internal/usersync"
)

// Send sends a code to whom it is for.
var Send = queue.Kind[SendArgs]{Name: "code.send", Queue: queue.Deliver, Timeout: time.Minute}

// SendArgs name a code: a hash of an address, what the code is for, and which one it is.
type SendArgs struct {
	Person  string        `json:"person"`
	Purpose login.Purpose `json:"purpose"`
	Nonce   string        `json:"nonce"`
}

// Letters sends codes: by webhook where the organization has an endpoint for them, which
// then writes to the person itself, else by letter through its mail server.
type Letters struct {
	Store *store.Store
	Keys  *seal.Keys
	Mail  *mail.Sender
	Log   *slog.Logger
}

// Handler returns the handler of Send.
func (l *Letters) Handler() queue.Handler { return Send.Work(l.send, l.giveUp) }

// send ends without a word where the code is for nobody, has expired, was used or replaced.
// A letter that may have been sent is sent again: it holds the same code.
func (l *Letters) send(ctx context.Context, c usersync.Claim, args SendArgs) error {
	to, found, err := login.FindAddressed(ctx, l.Store.Org(c.Organization), args.Person, args.Purpose, args.Nonce)
	if err != nil {
		return fmt.Errorf("find the code: %w", err)
	}
	code, ok := to.Text(l.Keys, c.Organization)
	if !found || !ok {
		return l.end(ctx, c)
	}
	told, err := l.tell(ctx, c, to, code)
	if err != nil || told {
		return err
	}
	o, err := tenant.Get(ctx, l.Store, c.Organization)
	if err != nil {
		return fmt.Errorf("read the organization: %w", err)
	}
	if err := l.write(ctx, o, to, code); err != nil {
		return err
	}
	return l.end(ctx, c)
}

func (l *Letters) end(ctx context.Context, c usersync.Claim) error {
	return l.Store.Tx(ctx, func(tx *store.Tx) error { return outbox.Finish(ctx, tx, c) })
}

func (l *Letters) giveUp(ctx context.Context, c usersync.Claim, _ SendArgs, cause error) error {
	l.Log.WarnContext(ctx, "a code was not sent", "organization", c.Organization, "code", usersync.CodeOf(cause))
	return l.end(ctx, c)
}

// message is what a webhook tells of a code.
type message struct {
	UserID    string         `json:"userId"`
	Email     usersync.Email `json:"email"`
	Purpose   login.Purpose  `json:"purpose"`
	Code      string         `json:"code"`
	ExpiresAt usersync.Time  `json:"expiresAt"`
	ReturnURL string         `json:"returnUrl"`
}

// tell makes the webhook messages and ends the task with them. told is false where no
// endpoint wants them; then nothing was done.
func (l *Letters) tell(ctx context.Context, c usersync.Claim, to login.Addressed, code string) (told bool, err error) {
	wanted, err := delivery.Wanted(ctx, l.Store.Org(c.Organization), delivery.MessageCode)
	if err != nil || !wanted {
		return false, err
	}
	err = l.Store.Tx(ctx, func(tx *store.Tx) error {
		told = false
		account, endpoints, err := delivery.LockAccountWithEndpoints(ctx, tx, c.Organization)
		if err != nil {
			return fmt.Errorf("lock the account: %w", err)
		}
		if told = slices.ContainsFunc(endpoints, func(e delivery.Endpoint) bool { return e.Wants(delivery.MessageCode) }); !told {
			return nil
		}
		messages := delivery.NewMessages(&account, endpoints)
		data := message{to.UserID, to.Email, to.Purpose, code, to.ExpiresAt, to.ReturnURL}
		if err := messages.Add(delivery.AboutOrganization(delivery.MessageCode), data); err != nil {
			return fmt.Errorf("make the message: %w", err)
		}
		if err := messages.Enqueue(ctx, tx); err != nil {
			return fmt.Errorf("enqueue the message: %w", err)
		}
		return outbox.Finish(ctx, tx, c)
	})
	return told, err
}

// write sends the letter. One that the server refuses for good is not tried again.
func (l *Letters) write(ctx context.Context, o tenant.Organization, to login.Addressed, code string) error {
	if o.Settings.SMTP == nil {
		return nil // taken away meanwhile
	}
	letter, err := letterOf(o, to, code)
	if err != nil {
		return fmt.Errorf("write the letter: %w", err)
	}
	_, err = l.Mail.Send(ctx, *o.Settings.SMTP, letter)
	if usersync.CodeOf(err) == usersync.CodeUnavailable {
		return err
	}
	if err != nil {
		l.Log.WarnContext(ctx, "a code was not sent", "organization", o.ID, "code", usersync.CodeOf(err))
	}
	return nil
}

// text is a letter about a code.
type text struct{ subject, body string }

// texts are the letters by purpose. Whoever wants others has them written by an endpoint.
// They do not name the person: a stranger who registers somebody else's address would have
// us send them what the stranger says is their name.
var texts = map[login.Purpose]text{
	login.ForVerification: {`{{.organization}}: verify your address`, `Hello,

this code verifies your address at {{.organization}}:

    {{.code}}

It is good for {{.minutes}} minutes, and once.
{{if .link}}
You can also follow this link:
{{.link}}
{{end}}
If you have not asked for it, you need do nothing.
`},
	login.ForPassword: {`{{.organization}}: choose a new password`, `Hello,

with this code you choose a new password at {{.organization}}:

    {{.code}}

It is good for {{.minutes}} minutes, and once.
{{if .link}}
You can also follow this link:
{{.link}}
{{end}}
If you have not asked for it, somebody else has: you need do nothing, and your password
stays as it is.
`},
}

func letterOf(o tenant.Organization, to login.Addressed, code string) (letter mail.Letter, err error) {
	values := map[string]string{
		"organization": o.Name, "code": code, "minutes": fmt.Sprint(int(login.CodeFor / time.Minute)), "link": linkOf(to.ReturnURL, code),
	}
	letter.To = to.Email
	for source, into := range map[string]*string{texts[to.Purpose].subject: &letter.Subject, texts[to.Purpose].body: &letter.Text} {
		parsed, err := template.ParseText(source)
		if err != nil {
			return letter, fmt.Errorf("parse the letter: %w", err)
		}
		if *into, err = parsed.Execute(values); err != nil {
			return letter, fmt.Errorf("fill in the letter: %w", err)
		}
	}
	letter.Subject = strings.Join(strings.Fields(letter.Subject), " ")
	return letter, nil
}

// linkOf returns where a letter leads, with the code as verificationCode; "" for nowhere.
func linkOf(returnURL, code string) string {
	u, err := url.Parse(returnURL)
	if returnURL == "" || err != nil {
		return ""
	}
	query := u.Query()
	query.Set("verificationCode", code)
	u.RawQuery = query.Encode()
	return u.String()
}
