package demo

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/textproto"
	"strings"
	"sync"
	"time"

	"usersync/internal/store"
	"usersync/internal/tenant"
	"usersync/internal/usersync"
)

const (
	// letterWithin bounds a visit of whoever brings letters.
	letterWithin = 30 * time.Second
	// maxLetter is the longest letter that is taken, in bytes, and maxVisit all that is
	// read of one visitor.
	maxLetter = 256 << 10
	maxVisit  = 4 * maxLetter
)

// mailbox takes letters as a mail server would, keeps the newest and shows them. It sends
// none.
type mailbox struct {
	listener net.Listener

	mu   sync.Mutex
	kept []letter
}

// letter is one letter as it came.
type letter struct {
	At   usersync.Time `json:"at"`
	From string        `json:"from"`
	To   string        `json:"to"`
	Text string        `json:"text"`
}

func openMailbox() (*mailbox, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for letters: %w", err)
	}
	m := &mailbox{listener: listener}
	go m.serve()
	return m, nil
}

// settings are those by which an organization sends its letters here.
func (m *mailbox) settings() usersync.SMTP {
	address := m.listener.Addr().(*net.TCPAddr)
	return usersync.SMTP{Host: address.IP.String(), Port: address.Port, From: sender}
}

// sender marks the settings of the demo.
const sender = "Demo <demo@usersync.example>"

// serve ends when the listener is closed.
func (m *mailbox) serve() {
	for {
		c, err := m.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			time.Sleep(100 * time.Millisecond) // out of descriptors, say
			continue
		}
		go func() {
			defer func() { _ = c.Close() }()
			_ = c.SetDeadline(time.Now().Add(letterWithin))
			m.visit(textproto.NewReader(bufio.NewReader(io.LimitReader(c, maxVisit))), c)
		}()
	}
}

// visit speaks SMTP (RFC 5321) with one visitor, as much of it as a letter needs.
func (m *mailbox) visit(in *textproto.Reader, out io.Writer) {
	say := func(line string) bool {
		_, err := io.WriteString(out, line+"\r\n")
		return err == nil
	}
	var l letter
	for ok := say("220 demo mailbox"); ok; {
		line, err := in.ReadLine()
		if err != nil {
			return
		}
		verb, rest, _ := strings.Cut(line, ":")
		switch command, _, _ := strings.Cut(strings.ToUpper(verb), " "); command {
		case "MAIL":
			l = letter{From: addressIn(rest)}
			ok = say("250 ok")
		case "RCPT":
			l.To = addressIn(rest)
			ok = say("250 ok")
		case "DATA":
			ok = say("354 go on") && m.take(in, l) && say("250 kept")
		case "QUIT":
			say("221 bye")
			return
		case "EHLO", "HELO", "RSET", "NOOP":
			ok = say("250 ok")
		default:
			ok = say("502 not here")
		}
	}
}

// take reads a letter and keeps it.
func (m *mailbox) take(in *textproto.Reader, l letter) bool {
	text, err := io.ReadAll(io.LimitReader(in.DotReader(), maxLetter+1))
	if err != nil || len(text) > maxLetter {
		return false
	}
	l.At, l.Text = usersync.Time{Time: time.Now()}, strings.ToValidUTF8(string(text), "")
	m.mu.Lock()
	defer m.mu.Unlock()
	m.kept = append(m.kept, l)
	m.kept = m.kept[max(len(m.kept)-kept, 0):]
	return true
}

// addressIn returns what stands in angle brackets.
func addressIn(text string) string {
	_, text, _ = strings.Cut(text, "<")
	address, _, _ := strings.Cut(text, ">")
	return address
}

func (m *mailbox) show(w http.ResponseWriter, _ *http.Request) {
	m.mu.Lock()
	defer m.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	_ = encoder.Encode(append([]letter{}, m.kept...))
}

// sendLettersTo has the organization send its letters to a mailbox, unless it has a mail
// server that somebody else gave it.
func (d *Demo) sendLettersTo(ctx context.Context, s *store.Store, m *mailbox) error {
	_, err := tenant.Update(ctx, s.Org(d.Organization), actor, func(o *tenant.Organization) ([]string, error) {
		if smtp := o.Settings.SMTP; smtp != nil && smtp.From != sender {
			return nil, nil
		}
		settings := m.settings()
		o.Settings.SMTP = &settings
		return []string{"settings.smtp"}, nil
	})
	if err != nil {
		return fmt.Errorf("give the demo organization its mail server: %w", err)
	}
	return nil
}
