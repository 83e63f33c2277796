package webhooksig_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"usersync/internal/usersync"
	"usersync/internal/webhooksig"
)

const id = "msg_01"

var (
	body = []byte(`{"type":"test","n":1}`)
	at   = time.Unix(1_795_000_000, 0)
)

func signer(t testing.TB, secrets ...usersync.Secret) *webhooksig.Signer {
	t.Helper()
	s, err := webhooksig.NewSigner(secrets...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func secretOf(n int) usersync.Secret {
	return usersync.NewSecret("whsec_" + base64.StdEncoding.EncodeToString(make([]byte, n)))
}

func TestSignPassesTheReferenceVerifier(t *testing.T) {
	t.Parallel()
	for _, secret := range []usersync.Secret{webhooksig.NewSecret(), secretOf(24), secretOf(64)} {
		reference, err := standardwebhooks.NewWebhook(secret.Reveal())
		if err != nil {
			t.Fatal(err)
		}
		header := signer(t, secret).Headers(id, time.Now(), body)
		if err := reference.Verify(body, header); err != nil {
			t.Error(err)
		}
		if err := reference.Verify([]byte(`{}`), header); err == nil {
			t.Error("the reference takes another body")
		}
	}
}

// The values are printed in the documentation of Standard Webhooks' own
// implementations.
func TestSignMatchesThePublishedExample(t *testing.T) {
	t.Parallel()
	secret := usersync.NewSecret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	got := signer(t, secret).Sign("msg_p5jXN8AQM9LWM0D4loKWxJek", time.Unix(1614265330, 0), []byte(`{"test": 2432232314}`))
	if want := "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestVerifyTakesWhatTheReferenceSigns(t *testing.T) {
	t.Parallel()
	secret := webhooksig.NewSecret()
	reference, err := standardwebhooks.NewWebhook(secret.Reveal())
	if err != nil {
		t.Fatal(err)
	}
	signature, err := reference.Sign(id, at, body)
	if err != nil {
		t.Fatal(err)
	}
	header := http.Header{"Webhook-Id": {id}, "Webhook-Timestamp": {strconv.FormatInt(at.Unix(), 10)}, "Webhook-Signature": {signature}}
	if err := webhooksig.Verify(secret, header, body, at, 0); err != nil {
		t.Error(err)
	}
}

func TestRotationSignsWithOldAndNew(t *testing.T) {
	t.Parallel()
	fresh, old := webhooksig.NewSecret(), webhooksig.NewSecret()
	header := signer(t, fresh, old).Headers(id, at, body)
	if n := len(strings.Fields(header.Get(webhooksig.HeaderSignature))); n != 2 {
		t.Fatalf("%d signatures", n)
	}
	for _, secret := range []usersync.Secret{fresh, old} {
		if err := webhooksig.Verify(secret, header, body, at, time.Minute); err != nil {
			t.Error(err)
		}
	}
	if err := webhooksig.Verify(webhooksig.NewSecret(), header, body, at, time.Minute); usersync.CodeOf(err) != usersync.CodeUnauthorized {
		t.Errorf("a third secret: %v", err)
	}
}

func TestAsymmetricSignatureVerifiesWithThePublicKey(t *testing.T) {
	t.Parallel()
	private, public := webhooksig.NewKeyPair()
	derived, err := webhooksig.PublicKey(private)
	if err != nil || derived != public {
		t.Fatalf("public key is %s, want %s, %v", derived, public, err)
	}
	header := signer(t, private, webhooksig.NewSecret()).Headers(id, at, body)
	if !strings.HasPrefix(header.Get(webhooksig.HeaderSignature), "v1a,") {
		t.Errorf("signature %s", header.Get(webhooksig.HeaderSignature))
	}
	if err := webhooksig.Verify(usersync.NewSecret(public), header, body, at, time.Minute); err != nil {
		t.Error(err)
	}
	_, other := webhooksig.NewKeyPair()
	if err := webhooksig.Verify(usersync.NewSecret(other), header, body, at, time.Minute); usersync.CodeOf(err) != usersync.CodeUnauthorized {
		t.Errorf("another public key: %v", err)
	}
}

func TestVerifyRefusesAnythingChanged(t *testing.T) {
	t.Parallel()
	secret := webhooksig.NewSecret()
	private, public := webhooksig.NewKeyPair()
	s := signer(t, secret, private)
	header := func(name, value string) http.Header {
		h := s.Headers(id, at, body)
		h.Set(name, value)
		return h
	}
	good := s.Headers(id, at, body)
	symmetric, asymmetric, _ := strings.Cut(good.Get(webhooksig.HeaderSignature), " ")
	for _, c := range []struct {
		name   string
		header http.Header
		body   []byte
		now    time.Time
	}{
		{"body", good, append([]byte(" "), body...), at},
		{"empty body", good, nil, at},
		{"id", header(webhooksig.HeaderID, "msg_02"), body, at},
		{"timestamp", header(webhooksig.HeaderTimestamp, strconv.FormatInt(at.Unix()+1, 10)), body, at},
		{"timestamp that is no number", header(webhooksig.HeaderTimestamp, "soon"), body, at},
		{"no timestamp", header(webhooksig.HeaderTimestamp, ""), body, at},
		{"no id", header(webhooksig.HeaderID, ""), body, at},
		{"no signature", header(webhooksig.HeaderSignature, ""), body, at},
		{"versions exchanged", header(webhooksig.HeaderSignature, "v1"+asymmetric[3:]+" v1a"+symmetric[2:]), body, at},
		{"signature without its version", header(webhooksig.HeaderSignature, symmetric[3:]+" "+asymmetric[4:]), body, at},
		{"unknown version", header(webhooksig.HeaderSignature, "v2"+symmetric[2:]), body, at},
		{"cut signature", header(webhooksig.HeaderSignature, symmetric[:len(symmetric)-1]+" "+asymmetric[:len(asymmetric)-1]), body, at},
		{"too old", good, body, at.Add(5*time.Minute + time.Second)},
		{"too new", good, body, at.Add(-5*time.Minute - time.Second)},
		{"no headers", http.Header{}, body, at},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for _, key := range []usersync.Secret{secret, usersync.NewSecret(public)} {
				err := webhooksig.Verify(key, c.header, c.body, c.now, 5*time.Minute)
				if usersync.CodeOf(err) != usersync.CodeUnauthorized {
					t.Errorf("got %v", err)
				}
			}
		})
	}
}

func TestVerifyTakesTheEdgesOfTheTolerance(t *testing.T) {
	t.Parallel()
	secret := webhooksig.NewSecret()
	header := signer(t, secret).Headers(id, at, body)
	for _, now := range []time.Time{at.Add(5 * time.Minute), at.Add(-5 * time.Minute)} {
		if err := webhooksig.Verify(secret, header, body, now, 5*time.Minute); err != nil {
			t.Error(err)
		}
	}
}

func TestNewSecretIs32RandomBytes(t *testing.T) {
	t.Parallel()
	a, b := webhooksig.NewSecret().Reveal(), webhooksig.NewSecret().Reveal()
	if a == b {
		t.Error("two secrets are equal")
	}
	text, found := strings.CutPrefix(a, "whsec_")
	if raw, err := base64.StdEncoding.DecodeString(text); !found || err != nil || len(raw) != 32 {
		t.Errorf("prefix %v, %d bytes, %v", found, len(raw), err)
	}
}

func TestNewSignerRefusesBadSecretsAndShowsNone(t *testing.T) {
	t.Parallel()
	private, _ := webhooksig.NewKeyPair()
	other, _ := webhooksig.NewKeyPair()
	mixed := "whsk_" + base64.StdEncoding.EncodeToString(append(rawOf(t, private)[:32], rawOf(t, other)[32:]...))
	for name, secrets := range map[string][]usersync.Secret{
		"none":                        {},
		"empty":                       {{}},
		"no prefix":                   {usersync.NewSecret("SECRETSECRETSECRETSECRETSECRETSECRET")},
		"not base64":                  {usersync.NewSecret("whsec_SECRET!SECRETSECRETSECRETSECRETSECRET")},
		"23 bytes":                    {secretOf(23)},
		"65 bytes":                    {secretOf(65)},
		"public key":                  {usersync.NewSecret("whpk_" + strings.Repeat("A", 43) + "=")},
		"short private key":           {usersync.NewSecret("whsk_" + strings.Repeat("A", 43) + "=")},
		"private key of two halves":   {usersync.NewSecret(mixed)},
		"a good one and then a wrong": {webhooksig.NewSecret(), secretOf(1)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := webhooksig.NewSigner(secrets...)
			if usersync.CodeOf(err) != usersync.CodeInvalid {
				t.Errorf("got %v", err)
			}
			if err != nil && strings.Contains(err.Error(), "SECRET") {
				t.Errorf("shows the secret: %v", err)
			}
		})
	}
}

func TestVerifyRefusesAKeyThatIsNone(t *testing.T) {
	t.Parallel()
	private, _ := webhooksig.NewKeyPair()
	for _, key := range []usersync.Secret{{}, private, usersync.NewSecret("whpk_AAAA"), usersync.NewSecret("whsec_AAAA")} {
		err := webhooksig.Verify(key, http.Header{}, body, at, time.Minute)
		if usersync.CodeOf(err) != usersync.CodeInvalid {
			t.Errorf("got %v", err)
		}
	}
	if _, err := webhooksig.PublicKey(webhooksig.NewSecret()); usersync.CodeOf(err) != usersync.CodeInvalid {
		t.Errorf("public key of a symmetric secret: %v", err)
	}
}

func rawOf(t *testing.T, private usersync.Secret) []byte {
	t.Helper()
	raw, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(private.Reveal(), "whsk_"))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestSignerDoesNotPrint(t *testing.T) {
	t.Parallel()
	s := signer(t, secretOf(24))
	if got := fmt.Sprintf("%v %+v %#v", s, s, s); got != "[signer] [signer] [signer]" {
		t.Errorf("prints %q", got)
	}
}

func TestSignIsSafeForConcurrentUse(t *testing.T) {
	t.Parallel()
	secret := webhooksig.NewSecret()
	s := signer(t, secret)
	want := s.Sign(id, at, body)
	results := make(chan string)
	for range 8 {
		go func() { results <- s.Sign(id, at, body) }()
	}
	for range 8 {
		if got := <-results; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func BenchmarkSign1KiB(b *testing.B) {
	s := signer(b, webhooksig.NewSecret())
	kib := make([]byte, 1024)
	b.SetBytes(int64(len(kib)))
	b.ReportAllocs()
	for b.Loop() {
		s.Sign(id, at, kib)
	}
}
