// Package webhooksig signs webhook messages and checks their signatures by the rules
// of Standard Webhooks 1.0.0. The signatures are HMAC-SHA256 (v1) and ed25519 (v1a)
// over "id.timestamp.body".
package webhooksig

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"usersync/internal/usersync"
)

// These are the headers of a signed message.
const (
	HeaderID        = "Webhook-Id"
	HeaderTimestamp = "Webhook-Timestamp"
	HeaderSignature = "Webhook-Signature"
)

// These are the prefixes of symmetric, private and public keys.
const (
	prefixSecret  = "whsec_"
	prefixPrivate = "whsk_"
	prefixPublic  = "whpk_"
)

// These are the lengths of a symmetric key, in bytes. Standard Webhooks 1.0.0 asks
// for 24 to 64. New keys have 32.
const (
	minSecret = 24
	maxSecret = 64
	newSecret = 32
)

// NewSecret returns a new symmetric key. It is `whsec_` and the base64 of 32 random
// bytes.
func NewSecret() usersync.Secret {
	key := make([]byte, newSecret)
	_, _ = rand.Read(key) // crypto/rand.Read never fails
	return usersync.NewSecret(prefixSecret + base64.StdEncoding.EncodeToString(key))
}

// NewKeyPair returns a new ed25519 key pair. The private key is `whsk_` and the
// base64 of 64 bytes, the public key is `whpk_` and the base64 of 32 bytes.
func NewKeyPair() (private usersync.Secret, public string) {
	seed := make([]byte, ed25519.SeedSize)
	_, _ = rand.Read(seed) // crypto/rand.Read never fails
	key := ed25519.NewKeyFromSeed(seed)
	return usersync.NewSecret(prefixPrivate + base64.StdEncoding.EncodeToString(key)), encodePublic(key)
}

// PublicKey returns the `whpk_` key that belongs to a `whsk_` key.
func PublicKey(private usersync.Secret) (string, error) {
	text, found := strings.CutPrefix(private.Reveal(), prefixPrivate)
	if !found {
		return "", badKey("a private key begins with " + prefixPrivate)
	}
	key, err := parsePrivate(text)
	if err != nil {
		return "", fmt.Errorf("read the private key: %w", err)
	}
	return encodePublic(ed25519.PrivateKey(key)), nil
}

func encodePublic(key ed25519.PrivateKey) string {
	return prefixPublic + base64.StdEncoding.EncodeToString(key.Public().(ed25519.PublicKey))
}

// Signer signs messages with one or more keys. It is safe for concurrent use.
type Signer struct{ keys []signingKey }

// signingKey returns the signature of content with its version in front.
type signingKey interface{ sign(content []byte) string }

// NewSigner returns a Signer that signs with every secret, in their order. While a
// secret is being replaced, these are the new one and the old one. A `whsec_` secret
// of 24–64 bytes signs as v1, and a `whsk_` secret signs as v1a. Errors have code
// invalid and show no secret.
func NewSigner(secrets ...usersync.Secret) (*Signer, error) {
	if len(secrets) == 0 {
		return nil, badKey("no key was given")
	}
	s := &Signer{}
	for i, secret := range secrets {
		key, err := parseSigningKey(secret.Reveal())
		if err != nil {
			return nil, fmt.Errorf("read signing key %d of %d: %w", i+1, len(secrets), err)
		}
		s.keys = append(s.keys, key)
	}
	return s, nil
}

// String hides the keys.
func (*Signer) String() string { return "[signer]" }

// GoString hides the keys.
func (*Signer) GoString() string { return "[signer]" }

// Sign returns the webhook-signature header of the message id with this body, sent at
// the given time, of which only the whole seconds count. The header has one signature
// for each secret, separated by spaces. id must not contain a full stop.
func (s *Signer) Sign(id string, at time.Time, body []byte) string {
	content := signedContent(id, strconv.FormatInt(at.Unix(), 10), body)
	var list strings.Builder
	for i, key := range s.keys {
		if i > 0 {
			list.WriteByte(' ')
		}
		list.WriteString(key.sign(content))
	}
	return list.String()
}

// Headers returns the three headers of a signed message.
func (s *Signer) Headers(id string, at time.Time, body []byte) http.Header {
	return http.Header{
		HeaderID:        {id},
		HeaderTimestamp: {strconv.FormatInt(at.Unix(), 10)},
		HeaderSignature: {s.Sign(id, at, body)},
	}
}

// Verify reports whether header carries a signature of body that fits key, a `whsec_`
// secret or a `whpk_` public key, and whether its time is within tolerance of now, on
// either side. The error of a message that does not pass has code unauthorized. The
// error of a key that is not valid has code invalid.
func Verify(key usersync.Secret, header http.Header, body []byte, now time.Time, tolerance time.Duration) error {
	check, err := parseVerifyingKey(key.Reveal())
	if err != nil {
		return fmt.Errorf("read the key to verify with: %w", err)
	}
	id, timestamp := header.Get(HeaderID), header.Get(HeaderTimestamp)
	if id == "" || timestamp == "" || header.Get(HeaderSignature) == "" {
		return refused("The webhook headers are missing.")
	}
	seconds, err := strconv.ParseInt(timestamp, 10, 64)
	if err != nil {
		return refused("The webhook timestamp is not a number of seconds.")
	}
	if now.Sub(time.Unix(seconds, 0)).Abs() > tolerance {
		return refused("The webhook timestamp is too old or too new.")
	}
	content := signedContent(id, timestamp, body)
	for signature := range strings.SplitSeq(header.Get(HeaderSignature), " ") {
		if check(content, signature) {
			return nil
		}
	}
	return refused("No webhook signature fits.")
}

func refused(message string) error {
	return usersync.Errorf(usersync.CodeUnauthorized, "%s", message)
}

func signedContent(id, timestamp string, body []byte) []byte {
	content := make([]byte, 0, len(id)+len(timestamp)+len(body)+2)
	content = append(content, id...)
	content = append(content, '.')
	content = append(content, timestamp...)
	content = append(content, '.')
	return append(content, body...)
}

// symmetric is the key of v1.
type symmetric []byte

func (k symmetric) sign(content []byte) string {
	mac := hmac.New(sha256.New, k)
	mac.Write(content)
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// verify compares in constant time, so that a wrong signature does not show how
// much of it was right.
func (k symmetric) verify(content []byte, signature string) bool {
	return subtle.ConstantTimeCompare([]byte(k.sign(content)), []byte(signature)) == 1
}

// private is the signing key of v1a.
type private ed25519.PrivateKey

func (k private) sign(content []byte) string {
	return "v1a," + base64.StdEncoding.EncodeToString(ed25519.Sign(ed25519.PrivateKey(k), content))
}

// public is the verifying key of v1a.
type public ed25519.PublicKey

func (k public) verify(content []byte, signature string) bool {
	text, found := strings.CutPrefix(signature, "v1a,")
	if !found {
		return false
	}
	raw, err := base64.StdEncoding.Strict().DecodeString(text)
	return err == nil && ed25519.Verify(ed25519.PublicKey(k), content, raw)
}

func parseSigningKey(secret string) (signingKey, error) {
	if text, found := strings.CutPrefix(secret, prefixSecret); found {
		return parseSymmetric(text)
	}
	if text, found := strings.CutPrefix(secret, prefixPrivate); found {
		return parsePrivate(text)
	}
	return nil, badKey("it begins with neither " + prefixSecret + " nor " + prefixPrivate)
}

func parseVerifyingKey(key string) (func(content []byte, signature string) bool, error) {
	if text, found := strings.CutPrefix(key, prefixSecret); found {
		k, err := parseSymmetric(text)
		return k.verify, err
	}
	if text, found := strings.CutPrefix(key, prefixPublic); found {
		k, err := parsePublic(text)
		return k.verify, err
	}
	return nil, badKey("it begins with neither " + prefixSecret + " nor " + prefixPublic)
}

func parseSymmetric(text string) (symmetric, error) {
	key, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(key) < minSecret || len(key) > maxSecret {
		return nil, badKey("expected the base64 of 24 to 64 bytes behind " + prefixSecret)
	}
	return key, nil
}

// parsePrivate reads a private key. It requires that the public half fits, because
// signing with another public half reveals the private key.
func parsePrivate(text string) (private, error) {
	key, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(key) != ed25519.PrivateKeySize {
		return nil, badKey("expected the base64 of 64 bytes behind " + prefixPrivate)
	}
	if !ed25519.NewKeyFromSeed(key[:ed25519.SeedSize]).Equal(ed25519.PrivateKey(key)) {
		return nil, badKey("the two halves behind " + prefixPrivate + " do not belong together")
	}
	return key, nil
}

func parsePublic(text string) (public, error) {
	key, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(key) != ed25519.PublicKeySize {
		return nil, badKey("expected the base64 of 32 bytes behind " + prefixPublic)
	}
	return key, nil
}

func badKey(fault string) error {
	return usersync.Errorf(usersync.CodeInvalid, "The webhook key is not valid: %s.", fault)
}
