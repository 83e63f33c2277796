package app_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"golang.org/x/net/dns/dnsmessage"

	"usersync/internal/action"
	"usersync/internal/app"
	"usersync/internal/app/apptest"
	"usersync/internal/colleague"
	"usersync/internal/colleague/hunter"
	"usersync/internal/connector"
	"usersync/internal/connector/fakeplatform"
	"usersync/internal/connectors"
	"usersync/internal/connectors/fakes"
	"usersync/internal/delivery"
	"usersync/internal/followup"
	"usersync/internal/identity"
	"usersync/internal/issuer"
	"usersync/internal/mail"
	"usersync/internal/outbound"
	"usersync/internal/providers"
	"usersync/internal/reaction"
	"usersync/internal/store/storetest"
	"usersync/internal/tenant"
	"usersync/internal/usersync"
)

// disguise is a way to write an address that must not be called.
type disguise struct {
	name   string
	scheme string // https where empty
	host   string // as it stands in a URL
	// silent says that the text does not show the address. It is a name that resolves
	// to the address.
	silent bool
}

// disguises all lead to this machine or its neighbours. {port} is the port of a
// server of the test that must never be called.
var disguises = []disguise{
	{name: "loopback", host: "127.0.0.1:{port}"},
	{name: "elsewhere in loopback", host: "127.66.0.7:{port}"},
	{name: "decimal", host: "2130706433:{port}"},
	{name: "octal", host: "0177.0.0.1:{port}"},
	{name: "octal in one number", host: "017700000001:{port}"},
	{name: "hexadecimal", host: "0x7f000001:{port}"},
	{name: "hexadecimal parts", host: "0x7f.0x0.0x0.0x1:{port}"},
	{name: "two parts", host: "127.1:{port}"},
	{name: "three parts", host: "127.0.1:{port}"},
	{name: "leading zeros", host: "127.000.000.001:{port}"},
	{name: "dot behind", host: "127.0.0.1.:{port}"},
	{name: "IPv6 loopback", host: "[::1]:{port}"},
	{name: "IPv6 loopback in full", host: "[0:0:0:0:0:0:0:1]:{port}"},
	{name: "mapped", host: "[::ffff:127.0.0.1]:{port}"},
	{name: "mapped in hexadecimal", host: "[::ffff:7f00:1]:{port}"},
	{name: "compatible", host: "[::127.0.0.1]:{port}"},
	{name: "NAT64", host: "[64:ff9b::7f00:1]:{port}"},
	{name: "local NAT64", host: "[64:ff9b:1::7f00:1]:{port}"},
	{name: "6to4", host: "[2002:7f00:1::1]:{port}"},
	{name: "Teredo", host: "[2001:0:4136:e378:8000:63bf:80ff:fffe]:{port}"},
	{name: "zone", host: "[fe80::1%25lo]:{port}"},
	{name: "ideographic full stops", host: "127。0。0。1:{port}"},
	{name: "full-width digits", host: "１２７.０.０.１:{port}"},
	{name: "circled digits", host: "①②⑦.⓪.⓪.①:{port}"},
	{name: "circled letters", host: "ⓛⓞⓒⓐⓛⓗⓞⓢⓣ:{port}"},
	{name: "percent-encoded dots", host: "127%2e0%2e0%2e1:{port}"},
	{name: "user name in front", host: "example.com@127.0.0.1:{port}"},
	{name: "user name and password in front", host: "example.com:443@127.0.0.1:{port}"},
	{name: "backslash", host: `127.0.0.1:{port}\@example.com`},
	{name: "unspecified", host: "0.0.0.0:{port}"},
	{name: "unspecified, short", host: "0:{port}"},
	{name: "IPv6 unspecified", host: "[::]:{port}"},
	{name: "private 10", host: "10.0.0.1"},
	{name: "private 172", host: "172.16.0.1"},
	{name: "private 192", host: "192.168.0.1"},
	{name: "unique local", host: "[fd12:3456::1]"},
	{name: "link-local", host: "169.254.1.1"},
	{name: "IPv6 link-local", host: "[fe80::1]"},
	{name: "shared address space", host: "100.64.0.1"},
	{name: "multicast", host: "224.0.0.1"},
	{name: "IPv6 multicast", host: "[ff02::1]"},
	{name: "broadcast", host: "255.255.255.255"},
	{name: "metadata of clouds", host: "169.254.169.254"},
	{name: "metadata in decimal", host: "2852039166"},
	{name: "metadata mapped", host: "[::ffff:169.254.169.254]"},
	{name: "IPv6 metadata", host: "[fd00:ec2::254]"},
	{name: "container credentials", host: "169.254.170.2"},
	{name: "metadata at a public address", host: "168.63.129.16"},
	{name: "metadata in shared space", host: "100.100.100.200"},
	{name: "http where only https may", scheme: "http", host: "example.com"},
	{name: "localhost", host: "localhost:{port}", silent: true},
	{name: "localhost by http", scheme: "http", host: "localhost:{port}"},
	{name: "a name that moved here", host: "rebind.example.com:{port}", silent: true},
	{name: "a name of this machine", host: "127.0.0.1.nip.example:{port}", silent: true},
}

// astray is where disguises lead. It is a server that counts its connections, and a
// name server that resolves every name to it.
type astray struct {
	addr     netip.AddrPort
	resolver *net.Resolver
	came     atomic.Int32
}

func newAstray(t *testing.T) *astray {
	t.Helper()
	a := &astray{}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	server.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			a.came.Add(1)
		}
	}
	server.Start()
	t.Cleanup(server.Close)
	a.addr = server.Listener.Addr().(*net.TCPAddr).AddrPort()
	names, err := net.ListenPacket("udp4", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { _ = names.Close() })
	go lie(names)
	a.resolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", names.LocalAddr().String())
	}}
	return a
}

// lie answers every question for an IPv4 address with 127.0.0.1.
func lie(conn net.PacketConn) {
	buffer := make([]byte, 1500)
	for {
		n, from, err := conn.ReadFrom(buffer)
		if err != nil {
			return
		}
		var m dnsmessage.Message
		if m.Unpack(buffer[:n]) != nil || len(m.Questions) != 1 {
			continue
		}
		m.Response, m.RecursionAvailable, m.Additionals = true, true, nil
		if q := m.Questions[0]; q.Type == dnsmessage.TypeA {
			m.Answers = []dnsmessage.Resource{{
				Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class},
				Body:   &dnsmessage.AResource{A: [4]byte{127, 0, 0, 1}},
			}}
		}
		if packed, err := m.Pack(); err == nil {
			_, _ = conn.WriteTo(packed, from)
		}
	}
}

func (a *astray) client(t *testing.T) *outbound.Client {
	t.Helper()
	c := &outbound.Client{Guard: &outbound.Guard{}, Timeout: 5 * time.Second, Resolver: a.resolver}
	t.Cleanup(c.Close)
	return c
}

func (a *astray) url(d disguise) string {
	scheme := d.scheme
	if scheme == "" {
		scheme = "https"
	}
	return scheme + "://" + strings.ReplaceAll(d.host, "{port}", fmt.Sprint(a.addr.Port())) + "/x"
}

// wantNobody fails if a call was not refused, or if it arrived.
func (a *astray) wantNobody(t *testing.T, d disguise, err error) {
	t.Helper()
	// Go's resolver reports numbers that are no addresses as not found, without
	// asking a server.
	_, unknown := errors.AsType[*net.DNSError](err)
	if !refusedByGuard(err) && !unknown {
		t.Errorf("%s (%s): %v", d.name, a.url(d), err)
	}
	if n := a.came.Load(); n > 0 {
		t.Fatalf("%s (%s): %d connections came", d.name, a.url(d), n)
	}
}

// refusedByGuard reports whether an address was refused, when it was saved or when it
// was dialled. Then only the cause says so.
func refusedByGuard(err error) bool {
	return usersync.CodeOf(err) == usersync.CodeInvalid || err != nil && strings.Contains(err.Error(), "The address is not allowed")
}

// guarded lists every package that makes calls to the outside or lets others make
// them, and the test that tries the disguises on it.
var guarded = map[string]string{
	"internal/action":               "TestFollowUpsCallNoDisguisedAddress",
	"internal/management/followups": "TestDisguisedAddressesAreRefusedWhenSaved",
	"internal/management":           "TestDisguisedAddressesAreRefusedWhenSaved",
	"internal/app":                  "the wiring: one guard for all",
	"internal/colleague/hunter":     "TestDirectoryServicesCallNoDisguisedAddress",
	"internal/connector":            "TestPlatformsCallNoDisguisedAddress",
	"internal/demo":                 "the demo calls its own fakes: one address, that of its receiver",
	"internal/delivery":             "TestWebhooksCallNoDisguisedAddress",
	"internal/mail":                 "TestMailServersAreNoDisguisedAddress",
	"internal/access":               "TestDisguisedAddressesAreRefusedWhenSaved",
	"internal/providers":            "TestIdentityProvidersCallNoDisguisedAddress",
	"internal/provider":             "TestIdentityProvidersCallNoDisguisedAddress",
	"internal/provider/auth0":       "TestIdentityProvidersCallNoDisguisedAddress",
	"internal/provider/gigya":       "TestIdentityProvidersCallNoDisguisedAddress",
	"internal/provider/httpjson":    "TestIdentityProvidersCallNoDisguisedAddress",
	"internal/issuer":               "TestIssuersCallNoDisguisedAddress",
}

func TestEveryPackageThatCallsOutIsTriedWithDisguisedAddresses(t *testing.T) {
	t.Parallel()
	uses := regexp.MustCompile(`\boutbound\.(Client|Guard)\b`)
	found := map[string]bool{}
	must(t, filepath.WalkDir("..", func(file string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(file) != ".go" || strings.HasSuffix(file, "_test.go") {
			return err
		}
		text, err := os.ReadFile(file) //nolint:gosec // a source file of the module
		dir := "internal/" + strings.TrimPrefix(filepath.ToSlash(filepath.Dir(file)), "../")
		if uses.Match(text) && dir != "internal/connector/connectortest" && dir != "internal/provider/providertest" {
			found[dir] = true
			if guarded[dir] == "" {
				t.Errorf("%s calls out: try the disguises against it, and name it in guarded", dir)
			}
		}
		return err
	}))
	for dir := range guarded {
		if !found[dir] && dir != "internal/app" {
			t.Errorf("%s does not call out any more", dir)
		}
	}
}

func TestFollowUpsCallNoDisguisedAddress(t *testing.T) {
	t.Parallel()
	a := newAstray(t)
	send := action.Doers(action.Means{Client: a.client(t)})[followup.SendWebhook]
	for _, d := range disguises {
		_, err := send(t.Context(), action.Doing{Run: &reaction.Run{ID: "run"}, Action: followup.Action{Type: followup.SendWebhook, Method: http.MethodPost, URL: a.url(d)}})
		a.wantNobody(t, d, err)
	}
}

func TestDirectoryServicesCallNoDisguisedAddress(t *testing.T) {
	t.Parallel()
	a := newAstray(t)
	s := storetest.Open(t, storetest.Options(t, "sqlite"))
	source := &hunter.Source{Client: a.client(t)}
	for i, d := range disguises {
		ask := colleague.Ask{
			Org:      s.Org(usersync.NewID(usersync.PrefixOrganization)),
			Settings: tenant.ColleagueSource{Name: tenant.SourceHunter, URL: a.url(d), APIKey: usersync.MaskedSecret{Secret: usersync.NewSecret("k")}},
			Queries:  []colleague.CandidateQuery{{Company: fmt.Sprintf("c%d.example", i)}},
		}
		answers, err := source.Find(t.Context(), ask)
		must(t, err)
		a.wantNobody(t, d, answers[0].Err)
	}
}

func TestIdentityProvidersCallNoDisguisedAddress(t *testing.T) {
	t.Parallel()
	secret := usersync.MaskedSecret{Secret: usersync.NewSecret("secret")}
	email, err := identity.ParseEmail("ann@acme.example.com")
	must(t, err)
	for name, settings := range map[string]func(address string) tenant.Providers{
		"Auth0": func(address string) tenant.Providers {
			return tenant.Providers{Auth0: &tenant.Auth0{URL: address, ClientID: "c", ClientSecret: secret}}
		},
		"Gigya": func(address string) tenant.Providers {
			return tenant.Providers{Gigya: &tenant.Gigya{URL: address, APIKey: "a", UserKey: "u", Secret: secret}}
		},
		"SSOR": func(address string) tenant.Providers {
			return tenant.Providers{SSOR: &tenant.HTTPProvider{URL: address + "/?email={email}", Auth: "basic", Username: "u", Secret: secret}}
		},
		"Firefly": func(address string) tenant.Providers {
			return tenant.Providers{Firefly: &tenant.HTTPProvider{URL: "https://example.com/?email={email}", TokenURL: address, Username: "u", Secret: secret}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newAstray(t)
			for _, d := range disguises {
				o := tenant.Organization{ID: d.name, Settings: tenant.Settings{Flow: tenant.Flow{UserProvider: name}, Providers: settings(a.url(d))}}
				if _, _, err := providers.New(a.client(t), nil).Find(t.Context(), o, email); err == nil {
					t.Errorf("%s: something answered", d.name)
				}
			}
			if n := a.came.Load(); n > 0 {
				t.Errorf("%d connections came", n)
			}
		})
	}
}

func TestIssuersCallNoDisguisedAddress(t *testing.T) {
	t.Parallel()
	a := newAstray(t)
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	token, err := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{"iss": tokenIssuer, "aud": tokenAudience, "exp": time.Now().Add(time.Hour).Unix()}).SignedString(private)
	must(t, err)
	checker := &issuer.Checker{Served: &issuer.KeySets{HTTP: a.client(t)}}
	for _, d := range disguises {
		o := tenant.Organization{ID: d.name, Settings: tenant.Settings{JWT: tenant.JWT{Algorithms: []string{"ES256"}, Issuer: tokenIssuer, Audience: tokenAudience, JWKSURL: a.url(d)}}}
		if err := checker.Check(t.Context(), o, token, time.Now()); usersync.CodeOf(err) != usersync.CodeUnavailable {
			t.Errorf("%s: %v", d.name, err)
		}
	}
	if n := a.came.Load(); n > 0 {
		t.Errorf("%d connections came", n)
	}
}

func TestPlatformsCallNoDisguisedAddress(t *testing.T) {
	t.Parallel()
	for _, k := range connectors.Platforms {
		t.Run(k.Name, func(t *testing.T) {
			t.Parallel()
			a := newAstray(t)
			client := &connector.Client{HTTP: a.client(t), Connection: "con_1"}
			for _, d := range disguises {
				for _, setting := range addressesOf(k) {
					a.wantNobody(t, d, openAt(t, k, client, setting, a.url(d)))
				}
				_, err := client.JSON(t.Context(), http.MethodGet, a.url(d), nil, nil)
				a.wantNobody(t, d, err)
			}
		})
	}
}

// addressesOf returns the settings of a platform that name an address.
func addressesOf(k connector.Platform) []string {
	addresses := []string{"baseUrl"}
	for _, f := range k.Settings {
		if strings.Contains(strings.ToLower(f.Name), "url") && f.Name != "baseUrl" {
			addresses = append(addresses, f.Name)
		}
	}
	return addresses
}

// openAt opens a connection whose setting names the address, as saving does. If that
// succeeds, as it does for a name, openAt makes the call that checks the connection.
func openAt(t *testing.T, k connector.Platform, client *connector.Client, setting, address string) error {
	t.Helper()
	i := slices.IndexFunc(fakes.New(), func(f fakeplatform.Platform) bool { return f.Name() == k.Name })
	cfg := fakes.New()[i].Config()
	settings := map[string]any{}
	must(t, json.Unmarshal(cfg.Settings, &settings))
	settings[setting] = address
	text, err := json.Marshal(settings)
	must(t, err)
	cfg.Settings = text
	opened, err := k.Open(cfg, client)
	if err != nil {
		return err
	}
	_, err = opened.Check(t.Context())
	return err
}

func TestMailServersAreNoDisguisedAddress(t *testing.T) {
	t.Parallel()
	a := newAstray(t)
	sender := &mail.Sender{Guard: &outbound.Guard{}, Timeout: 5 * time.Second, Resolver: a.resolver}
	for _, d := range disguises {
		if d.scheme == "http" {
			continue // there is no such thing here
		}
		for _, port := range []int{int(a.addr.Port()), 465} {
			smtp := usersync.SMTP{Host: mailHost(d), Port: port, From: "a@example.com"}
			_, err := sender.Send(t.Context(), smtp, mail.Letter{To: usersync.NewEmail("b@example.com", "b@example.com"), Subject: "s", Text: "t"})
			a.wantNobody(t, d, err)
		}
	}
}

// mailHost returns the host of a disguise as settings of mail name it.
func mailHost(d disguise) string {
	host := d.host[strings.LastIndexByte(d.host, '@')+1:]
	if d.name == "backslash" {
		host = d.host[:strings.IndexByte(d.host, ':')]
	}
	if at := strings.LastIndexByte(host, ':'); at > 0 && !strings.HasSuffix(host, "]") {
		host = host[:at]
	}
	host, _ = url.PathUnescape(strings.Trim(host, "[]"))
	return host
}

// barred begins a play with a program that may call no address within.
func barred(t *testing.T, role app.Role) *play {
	t.Helper()
	e := apptest.New(t, "embedded")
	e.Config.EgressAllow = nil
	s := &stage{env: e, app: e.Start(t, role)}
	s.client = s.app.Client(t)
	p := s.begin(t, "ssrf")
	p.giveRate(t, []string{"100000", "100000"})
	return p
}

// TestDisguisedAddressesAreRefusedWhenSaved offers the disguises to every setting of
// the API that names an address. Those whose text does not show the address are
// accepted.
func TestDisguisedAddressesAreRefusedWhenSaved(t *testing.T) {
	t.Parallel()
	p, a := barred(t, app.API), newAstray(t)
	for _, d := range disguises {
		for where, body := range map[string]any{
			"POST /v1/webhook-endpoints": map[string]any{"url": a.url(d)},
			"POST /v1/follow-ups": map[string]any{"name": "n", "trigger": map[string]any{"type": "user/update"}, "actions": []any{
				map[string]any{"type": "send-webhook", "method": "POST", "url": a.url(d)},
			}},
			"PATCH /v1/organization":     map[string]any{"settings": map[string]any{"colleagueSources": []any{map[string]any{"name": "hunter", "apiKey": "0123456789", "url": a.url(d)}}}},
			"PATCH /v1/organization\n":   map[string]any{"settings": map[string]any{"providers": map[string]any{"auth0": map[string]any{"url": a.url(d), "clientId": "c", "clientSecret": "s"}}}},
			"PATCH /v1/organization\n\n": map[string]any{"settings": map[string]any{"providers": map[string]any{"firefly": map[string]any{"url": "https://example.com/{email}", "tokenUrl": a.url(d), "username": "u", "secret": "s"}}}},
			"PATCH /v1/organization ":    map[string]any{"settings": map[string]any{"smtp": map[string]any{"host": mailHost(d), "port": a.addr.Port(), "from": "a@example.com"}}},
		} {
			want := http.StatusBadRequest
			if d.silent || d.scheme == "http" && strings.HasSuffix(where, " ") {
				want = http.StatusOK
			}
			if d.silent && strings.HasPrefix(where, "POST") {
				want = http.StatusCreated
			}
			method, path, _ := strings.Cut(strings.TrimSpace(where), " ")
			text, err := json.Marshal(body)
			must(t, err)
			got := p.client.Do(t, apptest.Call{Method: method, Path: path, Body: text, Header: http.Header{"X-Api-Key": {p.vars["key"]}, "Content-Type": {"application/json"}}})
			if got.Status != want {
				t.Errorf("%s at %s: got %d %s, want %d\n%s", d.name, where, got.Status, got.Body, want, text)
			}
		}
	}
	if n := a.came.Load(); n > 0 {
		t.Errorf("%d connections came", n)
	}
}

// TestWebhooksCallNoDisguisedAddress makes the program deliver to endpoints that were
// written without the check that saving makes.
func TestWebhooksCallNoDisguisedAddress(t *testing.T) {
	t.Parallel()
	p, a := barred(t, app.All), newAstray(t)
	made := map[string]disguise{}
	_, err := tenant.Update(t.Context(), p.app.Store.Org(p.org.ID), "test", func(o *tenant.Organization) ([]string, error) {
		o.Settings.Limits.WebhookEndpoints = len(disguises)
		return []string{"settings"}, nil
	})
	must(t, err)
	for _, d := range disguises {
		if d.silent && d.host != "localhost:{port}" || strings.Contains(d.name, "http where") {
			continue // the program asks the machine's own name server
		}
		p.vars["hook"] = a.url(d)
		p.receiver.URL = a.url(d)
		p.giveWebhook(t, []string{"user_sync.completed"})
		made[p.vars["endpoint"]] = d
		header := http.Header{"X-Api-Key": {p.vars["key"]}}
		p.client.Do(t, apptest.Call{Method: http.MethodPost, Path: "/v1/webhook-endpoints/" + p.vars["endpoint"] + "/test", Header: header})
	}
	for endpoint, d := range made {
		apptest.Eventually(t, "the message to "+d.name+" was tried", func() bool {
			list, err := delivery.List(t.Context(), p.app.Store.Org(p.org.ID), endpoint, "", "", 1)
			must(t, err)
			return len(list) == 1 && len(list[0].Attempts) > 0 && list[0].Attempts[0].Status == 0
		})
	}
	if n := a.came.Load(); n > 0 {
		t.Errorf("%d connections came", n)
	}
}

// TestRedirectsLeadNowhere lets an allowed server redirect callers. No redirect may
// be followed.
func TestRedirectsLeadNowhere(t *testing.T) {
	t.Parallel()
	a := newAstray(t)
	for _, status := range []int{301, 302, 303, 307, 308} {
		allowed := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://"+a.addr.String()+"/", status)
		}))
		t.Cleanup(allowed.Close)
		client := a.client(t)
		client.Guard = &outbound.Guard{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Own: []netip.AddrPort{a.addr}}
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, allowed.URL, strings.NewReader("x"))
		must(t, err)
		if r, err := client.Do(t.Context(), request); err != nil || r.Status != status {
			t.Errorf("%d: got %+v, %v", status, r, err)
		}
		request.URL.Host = a.addr.String()
		if _, err := client.Do(t.Context(), request); !refusedByGuard(err) {
			t.Errorf("our own port: %v", err)
		}
	}
	if n := a.came.Load(); n > 0 {
		t.Errorf("%d connections came", n)
	}
}
