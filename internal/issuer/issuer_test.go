package issuer_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"go.uber.org/goleak"

	"usersync/internal/issuer"
	"usersync/internal/outbound"
	"usersync/internal/tenant"
	"usersync/internal/usersync"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var now = time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)

const (
	iss    = "https://issuer.example.com"
	aud    = "users"
	secret = "0123456789abcdef0123456789abcdef"
)

// good are the claims of a token that is good.
func good() jwt.MapClaims {
	return jwt.MapClaims{"iss": iss, "aud": aud, "exp": now.Add(time.Hour).Unix(), "nbf": now.Add(-time.Hour).Unix()}
}

func with(name string, value any) jwt.MapClaims {
	claims := good()
	claims[name] = value
	if value == nil {
		delete(claims, name)
	}
	return claims
}

func sign(t *testing.T, m jwt.SigningMethod, header map[string]any, claims jwt.Claims, key any) string {
	t.Helper()
	token := jwt.NewWithClaims(m, claims)
	maps.Copy(token.Header, header)
	text, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func organization(j tenant.JWT) tenant.Organization {
	j.Issuer, j.Audience = iss, aud
	return tenant.Organization{ID: "org_1", Settings: tenant.Settings{JWT: j}, Tenant: tenant.Codes{ClientGroupCode: "G", ClientCode: "C", PaperCode: "P"}}
}

func hidden(text string) usersync.MaskedSecret {
	return usersync.MaskedSecret{Secret: usersync.NewSecret(text)}
}

func pemOf(t *testing.T, public crypto.PublicKey) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

// pair makes RSA keys once: they take long.
var pair = sync.OnceValues(func() (*rsa.PrivateKey, *rsa.PrivateKey) {
	a, errA := rsa.GenerateKey(rand.Reader, 2048)
	b, errB := rsa.GenerateKey(rand.Reader, 2048)
	if errA != nil || errB != nil {
		panic("no keys")
	}
	return a, b
})

func TestATokenSignedWithTheSecretIsTakenOrRefused(t *testing.T) {
	t.Parallel()
	o := organization(tenant.JWT{Algorithms: []string{"HS256"}, Secret: hidden(secret)})
	hs := func(claims jwt.Claims) string { return sign(t, jwt.SigningMethodHS256, nil, claims, []byte(secret)) }
	valid := hs(good())
	parts := strings.Split(valid, ".")
	raw := func(header, claims string) string {
		body := base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString([]byte(claims))
		signature, err := jwt.SigningMethodHS256.Sign(body, []byte(secret))
		if err != nil {
			t.Fatal(err)
		}
		return body + "." + base64.RawURLEncoding.EncodeToString(signature)
	}
	for name, c := range map[string]struct {
		token string
		want  error
	}{
		"good":                              {valid, nil},
		"several audiences":                 {hs(with("aud", []string{"other", aud})), nil},
		"expired within the leeway":         {hs(with("exp", now.Add(-59*time.Second).Unix())), nil},
		"not yet valid within the leeway":   {hs(with("nbf", now.Add(59*time.Second).Unix())), nil},
		"expired beyond the leeway":         {hs(with("exp", now.Add(-61*time.Second).Unix())), issuer.ErrToken},
		"not yet valid":                     {hs(with("nbf", now.Add(61*time.Second).Unix())), issuer.ErrToken},
		"issued in the future":              {hs(with("iat", now.Add(time.Hour).Unix())), issuer.ErrToken},
		"without exp":                       {hs(with("exp", nil)), issuer.ErrToken},
		"exp that is a text":                {hs(with("exp", "99999999999")), issuer.ErrToken},
		"exp that is null":                  {raw(`{"alg":"HS256"}`, `{"iss":"`+iss+`","aud":"users","exp":null}`), issuer.ErrToken},
		"exp beyond numbers":                {raw(`{"alg":"HS256"}`, `{"iss":"`+iss+`","aud":"users","exp":1e999}`), issuer.ErrToken},
		"another issuer":                    {hs(with("iss", iss+"/")), issuer.ErrToken},
		"no issuer":                         {hs(with("iss", nil)), issuer.ErrToken},
		"another audience":                  {hs(with("aud", "Users")), issuer.ErrToken},
		"no audience":                       {hs(with("aud", nil)), issuer.ErrToken},
		"an audience that is no text":       {hs(with("aud", map[string]any{"users": true})), issuer.ErrToken},
		"no audience among several":         {hs(with("aud", []string{})), issuer.ErrToken},
		"another secret":                    {sign(t, jwt.SigningMethodHS256, nil, good(), []byte(secret+"x")), issuer.ErrToken},
		"another length of the same":        {sign(t, jwt.SigningMethodHS512, nil, good(), []byte(secret)), issuer.ErrToken},
		"alg none":                          {sign(t, jwt.SigningMethodNone, nil, good(), jwt.UnsafeAllowNoneSignatureType), issuer.ErrToken},
		"alg None":                          {raw(`{"alg":"None"}`, `{}`), issuer.ErrToken},
		"no signature":                      {parts[0] + "." + parts[1] + ".", issuer.ErrToken},
		"no alg":                            {raw(`{}`, `{}`), issuer.ErrToken},
		"a critical header":                 {sign(t, jwt.SigningMethodHS256, map[string]any{"crit": []string{"exp"}}, good(), []byte(secret)), issuer.ErrToken},
		"a kid that is a path":              {sign(t, jwt.SigningMethodHS256, map[string]any{"kid": "../../dev/null"}, good(), []byte("")), issuer.ErrToken},
		"a kid that is SQL":                 {sign(t, jwt.SigningMethodHS256, map[string]any{"kid": "x' UNION SELECT 'k"}, good(), []byte("k")), issuer.ErrToken},
		"a kid that is no text":             {sign(t, jwt.SigningMethodHS256, map[string]any{"kid": []int{1}}, good(), []byte(secret)), issuer.ErrToken},
		"huge":                              {hs(with("x", strings.Repeat("x", issuer.MaxToken))), issuer.ErrToken},
		"empty":                             {"", issuer.ErrToken},
		"no token":                          {"a.b.c", issuer.ErrToken},
		"many dots":                         {strings.Repeat(".", 8000), issuer.ErrToken},
		"text behind the signature":         {valid + "=", issuer.ErrToken},
		"a signature with other spare bits": {valid[:len(valid)-1] + string(otherSpare(valid[len(valid)-1])), issuer.ErrToken},
	} {
		err := (&issuer.Checker{}).Check(t.Context(), o, c.token, now)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	if err := (&issuer.Checker{}).Check(t.Context(), tenant.Organization{}, valid, now); !errors.Is(err, issuer.ErrToken) {
		t.Errorf("an organization without an issuer takes a token: %v", err)
	}
}

// otherSpare returns a character that stands for the same bytes at the end of a text, of
// whose last bits none counts.
func otherSpare(c byte) byte {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	return alphabet[strings.IndexByte(alphabet, c)^1]
}

// TestAPublicKeyIsNoSecret signs with the text of the public key, as if it were a secret.
func TestAPublicKeyIsNoSecret(t *testing.T) {
	t.Parallel()
	private, _ := pair()
	public := pemOf(t, &private.PublicKey)
	o := organization(tenant.JWT{Algorithms: []string{"RS256"}, PublicKeys: []tenant.PublicKey{{PEM: public}}})
	der := tenant.PublicKey{PEM: public}.DER()
	for name, key := range map[string][]byte{"PEM": []byte(public), "DER": der, "modulus": private.N.Bytes()} {
		for _, m := range []jwt.SigningMethod{jwt.SigningMethodHS256, jwt.SigningMethodHS512} {
			if err := (&issuer.Checker{}).Check(t.Context(), o, sign(t, m, nil, good(), key), now); !errors.Is(err, issuer.ErrToken) {
				t.Errorf("%s with the %s as secret: %v", m.Alg(), name, err)
			}
		}
	}
	if err := (&issuer.Checker{}).Check(t.Context(), o, sign(t, jwt.SigningMethodRS256, nil, good(), private), now); err != nil {
		t.Error(err)
	}
}

func TestAlgorithmsArePinnedAndKeysFitThem(t *testing.T) {
	t.Parallel()
	one, two := pair()
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	keys := []tenant.PublicKey{{ID: "rsa", PEM: pemOf(t, &one.PublicKey)}, {ID: "p256", PEM: pemOf(t, &p256.PublicKey)}, {ID: "p384", PEM: pemOf(t, &p384.PublicKey)}, {ID: "ed", PEM: pemOf(t, ed.Public())}}
	for name, c := range map[string]struct {
		pinned string
		method jwt.SigningMethod
		kid    any
		key    any
		ok     bool
	}{
		"RS256":                   {"RS256", jwt.SigningMethodRS256, "rsa", one, true},
		"RS384":                   {"RS384", jwt.SigningMethodRS384, "rsa", one, true},
		"RS512":                   {"RS512", jwt.SigningMethodRS512, "rsa", one, true},
		"PS256":                   {"PS256", jwt.SigningMethodPS256, "rsa", one, true},
		"PS384":                   {"PS384", jwt.SigningMethodPS384, "rsa", one, true},
		"PS512":                   {"PS512", jwt.SigningMethodPS512, "rsa", one, true},
		"ES256":                   {"ES256", jwt.SigningMethodES256, "p256", p256, true},
		"ES384":                   {"ES384", jwt.SigningMethodES384, "p384", p384, true},
		"EdDSA":                   {"EdDSA", jwt.SigningMethodEdDSA, "ed", ed, true},
		"without kid":             {"EdDSA", jwt.SigningMethodEdDSA, nil, ed, true},
		"another algorithm":       {"RS256", jwt.SigningMethodPS256, "rsa", one, false},
		"another key":             {"RS256", jwt.SigningMethodRS256, "rsa", two, false},
		"another key's kid":       {"ES256", jwt.SigningMethodES256, "p384", p256, false},
		"a kid that is not there": {"RS256", jwt.SigningMethodRS256, "none", one, false},
	} {
		header := map[string]any{}
		if c.kid != nil {
			header["kid"] = c.kid
		}
		o := organization(tenant.JWT{Algorithms: []string{c.pinned}, PublicKeys: keys})
		err := (&issuer.Checker{}).Check(t.Context(), o, sign(t, c.method, header, good(), c.key), now)
		if (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestATokenBringsNoKeys signs with a key of one's own that the header offers.
func TestATokenBringsNoKeys(t *testing.T) {
	t.Parallel()
	one, two := pair()
	called := atomic.Int64{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		called.Add(1)
		_ = json.NewEncoder(w).Encode(map[string]any{"keys": []any{jwkOf(&two.PublicKey, "own")}})
	}))
	defer s.Close()
	o := organization(tenant.JWT{Algorithms: []string{"RS256"}, PublicKeys: []tenant.PublicKey{{PEM: pemOf(t, &one.PublicKey)}}})
	for name, header := range map[string]map[string]any{
		"jwk": {"jwk": jwkOf(&two.PublicKey, "own"), "kid": "own"}, "jku": {"jku": s.URL, "kid": "own"}, "x5u": {"x5u": s.URL},
	} {
		if err := (&issuer.Checker{}).Check(t.Context(), o, sign(t, jwt.SigningMethodRS256, header, good(), two), now); !errors.Is(err, issuer.ErrToken) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if called.Load() > 0 {
		t.Error("an address in a token was called")
	}
}

func TestClaimsNameTheTenant(t *testing.T) {
	t.Parallel()
	o := organization(tenant.JWT{Algorithms: []string{"HS256"}, Secret: hidden(secret), TenantClaims: &tenant.Claims{ClientGroupCode: "g", ClientCode: "c", PaperCode: "p"}})
	for name, c := range map[string]struct {
		g, c, p any
		want    error
	}{
		"its own":        {"G", "C", "P", nil},
		"in other cases": {"g", "c", "p", nil},
		"another paper":  {"G", "C", "Q", issuer.ErrOtherTenant},
		"another group":  {"H", "C", "P", issuer.ErrOtherTenant},
		"none":           {nil, nil, nil, issuer.ErrToken},
		"a list":         {[]string{"G"}, "C", "P", issuer.ErrToken},
	} {
		claims := good()
		for n, v := range map[string]any{"g": c.g, "c": c.c, "p": c.p} {
			if v != nil {
				claims[n] = v
			}
		}
		if err := (&issuer.Checker{}).Check(t.Context(), o, sign(t, jwt.SigningMethodHS256, nil, claims, []byte(secret)), now); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

func b64(n *big.Int) string { return base64.RawURLEncoding.EncodeToString(n.Bytes()) }

func jwkOf(k *rsa.PublicKey, kid string) map[string]any {
	return map[string]any{"kty": "RSA", "use": "sig", "kid": kid, "n": b64(k.N), "e": b64(big.NewInt(int64(k.E)))}
}

// served is an issuer that serves keys.
type served struct {
	*httptest.Server
	asked atomic.Int64
	mu    sync.Mutex
	keys  []any
	hang  chan struct{}
}

func serve(t *testing.T, keys ...any) *served {
	t.Helper()
	s := &served{keys: keys}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.asked.Add(1)
		s.mu.Lock()
		keys, hang := s.keys, s.hang
		s.mu.Unlock()
		if hang != nil {
			select {
			case <-hang:
			case <-r.Context().Done():
			}
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"keys": keys})
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *served) set(hang chan struct{}, keys ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys, s.hang = keys, hang
}

// checker returns a Checker with a clock.
func checker(t *testing.T, clock func() time.Time) *issuer.Checker {
	t.Helper()
	client := &outbound.Client{Guard: &outbound.Guard{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}, MaxResponse: 64 << 10}
	t.Cleanup(client.Close)
	return &issuer.Checker{Served: &issuer.KeySets{HTTP: client, Now: clock}}
}

func TestServedKeysRotateWithAFloorBetweenFetches(t *testing.T) {
	t.Parallel()
	one, two := pair()
	s := serve(t, jwkOf(&one.PublicKey, "one"))
	at := now
	c := checker(t, func() time.Time { return at })
	o := organization(tenant.JWT{Algorithms: []string{"RS256"}, JWKSURL: s.URL})
	old := sign(t, jwt.SigningMethodRS256, map[string]any{"kid": "one"}, good(), one)
	fresh := sign(t, jwt.SigningMethodRS256, map[string]any{"kid": "two"}, good(), two)
	check := func(what, token string, ok bool, asked int64) {
		t.Helper()
		if err := c.Check(t.Context(), o, token, now); (err == nil) != ok {
			t.Errorf("%s: %v", what, err)
		}
		if got := s.asked.Load(); got != asked {
			t.Errorf("%s: fetched %d times, want %d", what, got, asked)
		}
	}
	check("the first", old, true, 1)
	check("again", old, true, 1)
	s.set(nil, jwkOf(&one.PublicKey, "one"), jwkOf(&two.PublicKey, "two"))
	check("an unknown kid at once", fresh, false, 1)
	for range 100 {
		check("and again", fresh, false, 1)
	}
	at = at.Add(31 * time.Second)
	check("an unknown kid later", fresh, true, 2)
	check("the old one meanwhile", old, true, 2)
	s.set(nil, jwkOf(&two.PublicKey, "two"))
	at = at.Add(11 * time.Minute)
	check("one that is gone", old, false, 3)
}

func TestKeysAreUsedWhileTheyCannotBeFetched(t *testing.T) {
	t.Parallel()
	one, _ := pair()
	s := serve(t, jwkOf(&one.PublicKey, "one"))
	at := now
	c := checker(t, func() time.Time { return at })
	o := organization(tenant.JWT{Algorithms: []string{"RS256"}, JWKSURL: s.URL})
	token := sign(t, jwt.SigningMethodRS256, map[string]any{"kid": "one"}, good(), one)
	if err := c.Check(t.Context(), o, token, now); err != nil {
		t.Fatal(err)
	}
	s.Close()
	at = at.Add(11 * time.Hour)
	if err := c.Check(t.Context(), o, token, now); err != nil {
		t.Errorf("after 11 h: %v", err)
	}
	at = at.Add(2 * time.Hour)
	if err := c.Check(t.Context(), o, token, now); usersync.CodeOf(err) != usersync.CodeUnavailable {
		t.Errorf("after 13 h: %v", err)
	}
}

// TestAnIssuerThatHangsHoldsNobodyElseUp lets one caller with an unknown kid wait, while
// others with a known one are let in.
func TestAnIssuerThatHangsHoldsNobodyElseUp(t *testing.T) {
	t.Parallel()
	one, two := pair()
	s := serve(t, jwkOf(&one.PublicKey, "one"))
	var mu sync.Mutex
	at := now
	c := checker(t, func() time.Time { mu.Lock(); defer mu.Unlock(); return at })
	o := organization(tenant.JWT{Algorithms: []string{"RS256"}, JWKSURL: s.URL})
	known := sign(t, jwt.SigningMethodRS256, map[string]any{"kid": "one"}, good(), one)
	if err := c.Check(t.Context(), o, known, now); err != nil {
		t.Fatal(err)
	}
	hang := make(chan struct{})
	s.set(hang, jwkOf(&one.PublicKey, "one"))
	mu.Lock()
	at = at.Add(time.Minute)
	mu.Unlock()
	waiting := make(chan error, 1)
	go func() {
		waiting <- c.Check(context.Background(), o, sign(t, jwt.SigningMethodRS256, map[string]any{"kid": "two"}, good(), two), now)
	}()
	for s.asked.Load() < 2 {
		time.Sleep(time.Millisecond)
	}
	for range 50 {
		if err := c.Check(t.Context(), o, known, now); err != nil {
			t.Error(err)
		}
	}
	close(hang)
	if err := <-waiting; !errors.Is(err, issuer.ErrToken) {
		t.Error(err)
	}
	if s.asked.Load() != 2 {
		t.Errorf("fetched %d times", s.asked.Load())
	}
}

func TestAnIssuerThatHangsFromTheStartIsUnavailableInTime(t *testing.T) {
	t.Parallel()
	one, _ := pair()
	s := serve(t)
	hang := make(chan struct{})
	s.set(hang)
	c := checker(t, nil)
	o := organization(tenant.JWT{Algorithms: []string{"RS256"}, JWKSURL: s.URL})
	token := sign(t, jwt.SigningMethodRS256, map[string]any{"kid": "one"}, good(), one)
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if err := c.Check(t.Context(), o, token, now); usersync.CodeOf(err) != usersync.CodeUnavailable {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if s.asked.Load() != 1 {
		t.Errorf("fetched %d times", s.asked.Load())
	}
	close(hang)
}

func TestWeakAndForeignKeysOfASetAreLeftOut(t *testing.T) {
	t.Parallel()
	one, two := pair()
	weak, err := rsa.GenerateKey(rand.Reader, 1024) //nolint:gosec // it is to be refused
	if err != nil {
		t.Fatal(err)
	}
	merge := func(m map[string]any, more map[string]any) map[string]any { maps.Copy(m, more); return m }
	for name, c := range map[string]struct {
		keys []any
		key  *rsa.PrivateKey
		ok   bool
	}{
		"good":                {[]any{jwkOf(&one.PublicKey, "k")}, one, true},
		"among nonsense":      {[]any{7, map[string]any{"kty": "oct", "k": "AA"}, map[string]any{"kty": "EC", "crv": "P-256", "x": "AQ", "y": "AQ", "kid": "e"}, jwkOf(&one.PublicKey, "k")}, one, true},
		"for encryption":      {[]any{merge(jwkOf(&one.PublicKey, "k"), map[string]any{"use": "enc"})}, one, false},
		"for signing only":    {[]any{merge(jwkOf(&one.PublicKey, "k"), map[string]any{"key_ops": []string{"sign"}})}, one, false},
		"of another alg":      {[]any{merge(jwkOf(&one.PublicKey, "k"), map[string]any{"alg": "PS256"})}, one, false},
		"of 1024 bits":        {[]any{jwkOf(&weak.PublicKey, "k")}, weak, false},
		"twice under one kid": {[]any{jwkOf(&one.PublicKey, "k"), jwkOf(&two.PublicKey, "k")}, one, false},
		"even exponent":       {[]any{merge(jwkOf(&one.PublicKey, "k"), map[string]any{"e": "Ag"})}, one, false},
		"huge number":         {[]any{merge(jwkOf(&one.PublicKey, "k"), map[string]any{"n": strings.Repeat("A", 2000)})}, one, false},
	} {
		s := serve(t, c.keys...)
		o := organization(tenant.JWT{Algorithms: []string{"RS256"}, JWKSURL: s.URL})
		err := checker(t, nil).Check(t.Context(), o, sign(t, jwt.SigningMethodRS256, map[string]any{"kid": "k"}, good(), c.key), now)
		if (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSettingsAreChecked(t *testing.T) {
	t.Parallel()
	one, _ := pair()
	public := []tenant.PublicKey{{PEM: pemOf(t, &one.PublicKey)}}
	none := func(string) error { return nil }
	for name, c := range map[string]struct {
		settings tenant.JWT
		fields   string
	}{
		"nothing":              {tenant.JWT{}, ""},
		"a secret":             {tenant.JWT{Algorithms: []string{"HS256", "HS512"}, Issuer: iss, Audience: aud, Secret: hidden(secret)}, ""},
		"keys":                 {tenant.JWT{Algorithms: []string{"PS256"}, Issuer: iss, Audience: aud, PublicKeys: public}, ""},
		"an address":           {tenant.JWT{Algorithms: []string{"EdDSA"}, Issuer: iss, Audience: aud, JWKSURL: "https://x.example"}, ""},
		"a short secret":       {tenant.JWT{Algorithms: []string{"HS256"}, Issuer: iss, Audience: aud, Secret: hidden(secret[1:])}, "secret"},
		"two sources":          {tenant.JWT{Algorithms: []string{"HS256"}, Issuer: iss, Audience: aud, Secret: hidden(secret), JWKSURL: "https://x.example"}, "secret"},
		"no source":            {tenant.JWT{Algorithms: []string{"RS256"}, Issuer: iss, Audience: aud}, "secret"},
		"none":                 {tenant.JWT{Algorithms: []string{"none"}, Issuer: iss, Audience: aud, Secret: hidden(secret)}, "algorithms"},
		"both kinds":           {tenant.JWT{Algorithms: []string{"RS256", "HS256"}, Issuer: iss, Audience: aud, PublicKeys: public}, "algorithms"},
		"a key that fits none": {tenant.JWT{Algorithms: []string{"ES256"}, Issuer: iss, Audience: aud, PublicKeys: public}, "publicKeys[0].pem"},
		"no key":               {tenant.JWT{Algorithms: []string{"ES256"}, Issuer: iss, Audience: aud, PublicKeys: []tenant.PublicKey{{PEM: "x"}}}, "publicKeys[0].pem"},
		"no issuer":            {tenant.JWT{Algorithms: []string{"HS256"}, Secret: hidden(secret)}, "issuer audience"},
		"half of the claims":   {tenant.JWT{Algorithms: []string{"HS256"}, Issuer: iss, Audience: aud, Secret: hidden(secret), TenantClaims: &tenant.Claims{ClientCode: "c"}}, "tenantClaims"},
	} {
		var fields []string
		for _, f := range issuer.Validate(c.settings, none) {
			fields = append(fields, strings.TrimPrefix(f.Field, "settings.jwt."))
		}
		if got := strings.Join(fields, " "); got != c.fields {
			t.Errorf("%s: %q, want %q", name, got, c.fields)
		}
	}
}

func FuzzToken(f *testing.F) {
	o := organization(tenant.JWT{Algorithms: []string{"HS256"}, Secret: hidden(secret)})
	f.Add("a.b.c")
	f.Add("eyJhbGciOiJub25lIn0.e30.")
	f.Add(fmt.Sprintf("%s.%s.%s", base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"HS256","kid":1}`)), "e30", "AA"))
	f.Fuzz(func(t *testing.T, token string) {
		if err := (&issuer.Checker{}).Check(t.Context(), o, token, now); err == nil {
			t.Errorf("%q is taken", token)
		}
	})
}
