// Package mailtest is an SMTP server for tests. It is a real server, with STARTTLS
// and a certificate of its own.
package mailtest

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"math/big"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"usersync/internal/usersync"
)

// Server takes letters and keeps them.
type Server struct {
	// Roots hold the authority behind the server's certificate.
	Roots       *x509.CertPool
	Certificate *x509.Certificate

	port int

	mu      sync.Mutex
	letters []Letter
	reply   *smtp.SMTPError
}

// Letter is a letter as the server received it.
type Letter struct {
	From, To string
	Hello    string // the name that the client gave in EHLO
	Username string // "" when nobody logged in
	TLS      bool
	Data     []byte
}

// Username and Password are the login that the server accepts.
const (
	Username = "mailer"
	Password = "example-password"
)

// Start runs a server on loopback until the test ends.
func Start(t testing.TB, change ...func(*smtp.Server)) *Server {
	t.Helper()
	s := &Server{Roots: x509.NewCertPool()}
	server := smtp.NewServer(s)
	server.Domain = "localhost"
	server.TLSConfig = s.certificate(t)
	server.ReadTimeout, server.WriteTimeout = 10*time.Second, 10*time.Second
	server.ErrorLog = quiet{}
	for _, c := range change {
		c(server)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.port = listener.Addr().(*net.TCPAddr).Port
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(listener) // ends with Close
	}()
	t.Cleanup(func() {
		_ = server.Close()
		<-done
	})
	return s
}

// WithoutTLS makes a server that offers no STARTTLS.
func WithoutTLS(s *smtp.Server) { s.TLSConfig, s.AllowInsecureAuth = nil, true }

// Settings are an organization's settings for this server, with a login.
func (s *Server) Settings() usersync.SMTP {
	return usersync.SMTP{
		Host: "localhost", Port: s.port, Username: Username,
		Password: usersync.MaskedSecret{Secret: usersync.NewSecret(Password)}, From: "Example Inc. <invite@example.com>",
	}
}

// Refuse makes the server answer every letter with code and message from now on. With
// code 0 it accepts letters again.
func (s *Server) Refuse(code int, message string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reply = nil
	if code != 0 {
		s.reply = &smtp.SMTPError{Code: code, Message: message}
	}
}

// Letters returns the letters that have arrived so far.
func (s *Server) Letters() []Letter {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Letter(nil), s.letters...)
}

// NewSession implements smtp.Backend.
func (s *Server) NewSession(c *smtp.Conn) (smtp.Session, error) {
	return &session{server: s, conn: c}, nil
}

type session struct {
	server *Server
	conn   *smtp.Conn
	letter Letter
}

func (s *session) AuthMechanisms() []string { return []string{sasl.Plain} }

func (s *session) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, username, password string) error {
		if username != Username || password != Password {
			return smtp.ErrAuthFailed
		}
		s.letter.Username = username
		return nil
	}), nil
}

func (s *session) Mail(from string, _ *smtp.MailOptions) error {
	s.letter.From, s.letter.Hello = from, s.conn.Hostname()
	_, s.letter.TLS = s.conn.TLSConnectionState()
	return nil
}

func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	if s.server.reply != nil {
		return s.server.reply
	}
	s.letter.To = to
	return nil
}

func (s *session) Data(r io.Reader) error {
	var data bytes.Buffer
	if _, err := data.ReadFrom(io.LimitReader(r, 1<<20)); err != nil {
		return errors.New("the letter broke off")
	}
	s.letter.Data = data.Bytes()
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	s.server.letters = append(s.server.letters, s.letter)
	return nil
}

func (s *session) Reset()        {}
func (s *session) Logout() error { return nil }

// certificate makes a certificate for localhost that is its own authority.
func (s *Server) certificate(t testing.TB) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	s.Certificate = certificate
	s.Roots.AddCert(certificate)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, MinVersion: tls.VersionTLS12}
}

type quiet struct{}

func (quiet) Printf(string, ...any) {}
func (quiet) Println(...any)        {}
