package mail_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"usersync/internal/mail"
	"usersync/internal/mail/mailtest"
	"usersync/internal/usersync"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pace is how long a server that drips waits between two pieces.
const pace = 5 * time.Millisecond

// hostileServers are what mail servers should not do, and at which step of a letter. A
// script is what the server says to each line of the client; then goes on from there.
var hostileServers = []struct {
	name   string
	script []string
	then   func(net.Conn)
	sent   bool
}{
	{"says nothing", nil, keep, false},
	{"closes at once", nil, func(net.Conn) {}, false},
	{"greets byte by byte", nil, drip("2"), false},
	{"greets line by line", nil, drip("220-x\r\n"), false},
	{"greets in a flood", nil, flood("220-x\r\n"), false},
	{"greets in one line without end", nil, flood(strings.Repeat("x", 1<<16)), false},
	{"speaks HTTP", nil, flood("HTTP/1.1 200 OK\r\n"), false},
	{"says nothing to EHLO", []string{"220 x"}, keep, false},
	{"extensions line by line", []string{"220 x"}, drip("250-x\r\n"), false},
	{"extensions in a flood", []string{"220 x"}, flood("250-x\r\n"), false},
	{"says nothing to STARTTLS", []string{"220 x", "250-x\r\n250 STARTTLS"}, keep, false},
	{"TLS that hangs", []string{"220 x", "250-x\r\n250 STARTTLS", "220 x"}, keep, false},
	{"TLS byte by byte", []string{"220 x", "250-x\r\n250 STARTTLS", "220 x"}, func(c net.Conn) {
		_, _ = io.WriteString(c, "\x16\x03\x03\x40\x00")
		drip("\x02")(c)
	}, false},
	{"TLS in a flood", []string{"220 x", "250-x\r\n250 STARTTLS", "220 x"}, flood("\x16\x03\x03\x40\x00" + strings.Repeat("\x02", 1<<14)), false},
	{"says nothing to MAIL", []string{"220 x", "250 x"}, keep, false},
	{"says nothing to RCPT", []string{"220 x", "250 x", "250 x"}, keep, false},
	{"refuses line by line", []string{"220 x", "250 x", "250 x"}, drip("550-x\r\n"), false},
	{"says nothing to DATA", []string{"220 x", "250 x", "250 x", "250 x"}, keep, false},
	{"says nothing to the letter", []string{"220 x", "250 x", "250 x", "250 x", "354 x"}, keep, false},
	{"resets in the letter", []string{"220 x", "250 x", "250 x", "250 x", "354 x"}, func(c net.Conn) { _ = c.(*net.TCPConn).SetLinger(0) }, false},
	{"says nothing to QUIT", []string{"220 x", "250 x", "250 x", "250 x", "354 x", "250 x"}, keep, true},
	{"says goodbye in a flood", []string{"220 x", "250 x", "250 x", "250 x", "354 x", "250 x"}, flood("221-x\r\n"), true},
}

// TestEveryHostileMailServerEndsWithinTheTimeout checks that a letter ends in time, sent
// or with an error of code unavailable, and that the sender then holds no connection.
func TestEveryHostileMailServerEndsWithinTheTimeout(t *testing.T) {
	t.Parallel()
	const timeout = 300 * time.Millisecond
	for _, h := range hostileServers {
		t.Run(h.name, func(t *testing.T) {
			t.Parallel()
			settings, released := listen(t, h.script, h.then)
			s := &mail.Sender{Guard: loopback, Timeout: timeout}
			start := time.Now()
			_, err := s.Send(t.Context(), settings, letter())
			if took := time.Since(start); took > timeout+2*time.Second {
				t.Errorf("it took %v", took)
			}
			if h.sent != (err == nil) || err != nil && usersync.CodeOf(err) != usersync.CodeUnavailable {
				t.Errorf("%v", err)
			}
			wait(t, "the connection is released", released)
		})
	}
}

// TestEveryHostileMailServerEndsWithTheCaller checks the same for a caller that is shut
// down long before the timeout.
func TestEveryHostileMailServerEndsWithTheCaller(t *testing.T) {
	t.Parallel()
	for _, h := range hostileServers {
		t.Run(h.name, func(t *testing.T) {
			t.Parallel()
			settings, released := listen(t, h.script, h.then)
			s := &mail.Sender{Guard: loopback, Timeout: time.Hour}
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(100*time.Millisecond, cancel)
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				_, _ = s.Send(ctx, settings, letter())
			}()
			wait(t, "it ends", ended)
			wait(t, "the connection is released", released)
		})
	}
}

func TestOfAMailServersWordsErrorsHaveTheCodeAlone(t *testing.T) {
	t.Parallel()
	server := mailtest.Start(t)
	for _, code := range []int{451, 550} {
		server.Refuse(code, "no such user ann@example.org "+strings.Repeat("x", 400))
		_, err := sender(server).Send(t.Context(), server.Settings(), letter())
		if text := err.Error(); strings.Contains(text, "ann@") || len(text) > 200 {
			t.Errorf("%d bytes: %s", len(text), text)
		}
	}
}

func wait(t *testing.T, what string, until <-chan struct{}) {
	t.Helper()
	select {
	case <-until:
	case <-time.After(10 * time.Second):
		t.Fatalf("it never came to this: %s", what)
	}
}

// listen serves one connection. released is closed when the client has let go of it.
func listen(t *testing.T, script []string, then func(net.Conn)) (settings usersync.SMTP, released <-chan struct{}) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	done := make(chan struct{})
	go func() {
		defer close(done)
		c, err := listener.Accept()
		if err != nil {
			return
		}
		defer func() { _ = c.Close() }()
		if follow(c, script) {
			then(c)
		}
	}()
	return usersync.SMTP{Host: "127.0.0.1", Port: listener.Addr().(*net.TCPAddr).Port, From: "invite@example.com"}, done
}

// follow says each reply, the first without being asked, the others to a line.
func follow(c net.Conn, script []string) bool {
	heard := bufio.NewReader(c)
	for i, reply := range script {
		if i > 0 && !hear(heard, script[i-1]) {
			return false
		}
		if _, err := io.WriteString(c, reply+"\r\n"); err != nil {
			return false
		}
	}
	return len(script) == 0 || hear(heard, script[len(script)-1])
}

// hear reads a command, or behind a 354 a letter.
func hear(heard *bufio.Reader, after string) bool {
	for {
		line, err := heard.ReadString('\n')
		if err != nil {
			return false
		}
		if !strings.HasPrefix(after, "354") || line == ".\r\n" {
			return true
		}
	}
}

// keep keeps the connection until the client lets go of it.
func keep(c net.Conn) { _, _ = io.Copy(io.Discard, c) }

// drip writes a text again and again, slowly, until the client has gone.
func drip(text string) func(net.Conn) {
	return func(c net.Conn) {
		for {
			if _, err := io.WriteString(c, text); err != nil {
				return
			}
			time.Sleep(pace)
		}
	}
}

// flood writes a text again and again, as fast as it can, until the client has gone.
func flood(text string) func(net.Conn) {
	return func(c net.Conn) {
		for {
			if _, err := io.WriteString(c, text); err != nil {
				return
			}
		}
	}
}
