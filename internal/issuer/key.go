package issuer

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math/big"
	"slices"
	"strings"

	"usersync/internal/tenant"
)

// key is a public key that tokens are checked with.
type key struct {
	id string
	// algorithm is the only one that the key is for, "" for any that fits it.
	algorithm string
	public    crypto.PublicKey
}

// fits reports whether signatures of an algorithm can be checked with the key.
func (k key) fits(algorithm string) bool {
	if k.algorithm != "" && k.algorithm != algorithm {
		return false
	}
	switch public := k.public.(type) {
	case *rsa.PublicKey:
		return strings.HasPrefix(algorithm, "RS") || strings.HasPrefix(algorithm, "PS")
	case *ecdsa.PublicKey:
		return algorithm == map[elliptic.Curve]string{elliptic.P256(): "ES256", elliptic.P384(): "ES384"}[public.Curve]
	case ed25519.PublicKey:
		return algorithm == "EdDSA"
	}
	return false
}

// The bounds of an RSA key in bits: RFC 7518, section 3.3, asks for 2048, and a longer one
// than 8192 costs a caller nothing and us much.
const (
	leastRSA = 2048
	mostRSA  = 8192
)

var (
	errPEM     = errors.New(`must be a public key in PEM: -----BEGIN PUBLIC KEY-----`)
	errKind    = errors.New("must be an RSA key of 2048 to 8192 bits, an EC key on P-256 or P-384, or an Ed25519 key")
	errNoKeys  = errors.New("the document has no keys")
	errUnknown = errors.New("the key is of a kind that is not used")
)

func parsePEM(k tenant.PublicKey) (key, error) {
	der := k.DER()
	if der == nil {
		return key{}, errPEM
	}
	public, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return key{}, errPEM
	}
	return checked(key{id: k.ID, public: public})
}

// checked refuses keys that are too weak, too long, or of no known kind.
func checked(k key) (key, error) {
	switch public := k.public.(type) {
	case *rsa.PublicKey:
		if bits := public.N.BitLen(); bits < leastRSA || bits > mostRSA || public.E < 3 || public.E%2 == 0 {
			return key{}, errKind
		}
	case *ecdsa.PublicKey:
		if public.Curve != elliptic.P256() && public.Curve != elliptic.P384() {
			return key{}, errKind
		}
		if _, err := public.ECDH(); err != nil { // not on the curve
			return key{}, errKind
		}
	case ed25519.PublicKey:
		if len(public) != ed25519.PublicKeySize {
			return key{}, errKind
		}
	default:
		return key{}, errKind
	}
	return k, nil
}

// staticKeys returns the keys of settings, which were checked when they were saved.
func staticKeys(list []tenant.PublicKey) (keys []key) {
	for _, one := range list {
		if k, err := parsePEM(one); err == nil {
			keys = append(keys, k)
		}
	}
	return keys
}

// jwk is a JSON Web Key (RFC 7517).
type jwk struct {
	Kty    string   `json:"kty"`
	Use    string   `json:"use"`
	KeyOps []string `json:"key_ops"`
	Alg    string   `json:"alg"`
	Kid    string   `json:"kid"`
	N      string   `json:"n"`
	E      string   `json:"e"`
	Crv    string   `json:"crv"`
	X      string   `json:"x"`
	Y      string   `json:"y"`
}

// maxServed bounds the keys of one document.
const maxServed = 100

// parseSet returns the keys of a JSON Web Key Set that signatures can be checked with. It
// passes over the others, as RFC 7517 section 5 has it. A kid that stands twice is of
// nobody.
func parseSet(document []byte) ([]key, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(document, &set); err != nil || len(set.Keys) == 0 {
		return nil, errNoKeys
	}
	var keys []key
	seen := map[string]int{}
	for _, raw := range set.Keys[:min(len(set.Keys), maxServed)] {
		var one jwk
		if json.Unmarshal(raw, &one) != nil || one.Use != "" && one.Use != "sig" || len(one.KeyOps) > 0 && !slices.Contains(one.KeyOps, "verify") {
			continue
		}
		if k, err := one.key(); err == nil {
			keys = append(keys, k)
			seen[k.id]++
		}
	}
	return slices.DeleteFunc(keys, func(k key) bool { return k.id != "" && seen[k.id] > 1 }), nil
}

func (j jwk) key() (key, error) {
	public, err := j.public()
	if err != nil {
		return key{}, err
	}
	return checked(key{id: j.Kid, algorithm: j.Alg, public: public})
}

func (j jwk) public() (crypto.PublicKey, error) {
	switch {
	case j.Kty == "RSA":
		n, errN := number(j.N)
		e, errE := number(j.E)
		if errN != nil || errE != nil || !e.IsInt64() || e.Int64() > 1<<31-1 {
			return nil, errKind
		}
		return &rsa.PublicKey{N: n, E: int(e.Int64())}, nil
	case j.Kty == "EC":
		curve := map[string]elliptic.Curve{"P-256": elliptic.P256(), "P-384": elliptic.P384()}[j.Crv]
		x, errX := number(j.X)
		y, errY := number(j.Y)
		if curve == nil || errX != nil || errY != nil {
			return nil, errKind
		}
		return &ecdsa.PublicKey{Curve: curve, X: x, Y: y}, nil //nolint:staticcheck // checked looks whether it is on the curve
	case j.Kty == "OKP" && j.Crv == "Ed25519":
		x, err := base64.RawURLEncoding.DecodeString(j.X)
		if err != nil {
			return nil, errKind
		}
		return ed25519.PublicKey(x), nil
	}
	return nil, errUnknown
}

// maxNumber bounds a number of a key in characters: that of 8192 bits.
const maxNumber = 1400

func number(text string) (*big.Int, error) {
	if len(text) > maxNumber {
		return nil, errKind
	}
	b, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(text, "="))
	if err != nil || len(b) == 0 {
		return nil, errKind
	}
	return new(big.Int).SetBytes(b), nil
}
