package lookup

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strings"
)

// What is encrypted: a text of one kind does not open as another.
const (
	kindID    = "customerRegistrationId"
	kindEmail = "email"
)

// errEncrypted is the refusal of a text that was not encrypted here, for the organization
// and as what it is said to be.
var errEncrypted = errors.New("the text does not open")

// maxEncrypted bounds an encrypted text in characters.
const maxEncrypted = 1024

// EncryptID returns a user's id as only the organization can hand it back.
func (s *Service) EncryptID(organization, id string) string {
	return s.encrypt(organization, kindID, id)
}

// DecryptID returns the id that EncryptID was given.
func (s *Service) DecryptID(organization, text string) (string, error) {
	return s.decrypt(organization, kindID, text)
}

// EncryptEmail is EncryptID for an address.
func (s *Service) EncryptEmail(organization, address string) string {
	return s.encrypt(organization, kindEmail, address)
}

// DecryptEmail returns the address that EncryptEmail was given.
func (s *Service) DecryptEmail(organization, text string) (string, error) {
	return s.decrypt(organization, kindEmail, text)
}

// encrypt seals a text by AES-256-GCM under a key of the organization. The nonce follows
// from the text, as in RFC 5297: the same text always looks the same, so that no number of
// answers uses nonces up, and two texts never share one. In front stands which of the
// service's keys the organization's follows from.
func (s *Service) encrypt(organization, kind, plain string) string {
	id := s.Keys.FirstID()
	nonces, aead, _ := s.cipherOf(id, organization) // the first key is there
	nonce := sum(nonces, kind+"\n"+plain)[:aead.NonceSize()]
	out := append([]byte{byte(len(id))}, id...)
	out = append(out, nonce...)
	return base64.RawURLEncoding.EncodeToString(aead.Seal(out, nonce, []byte(plain), []byte(kind)))
}

func (s *Service) decrypt(organization, kind, text string) (string, error) {
	if len(text) > maxEncrypted {
		return "", errEncrypted
	}
	in, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || strings.ContainsAny(text, "\r\n") || len(in) == 0 || len(in) < 1+int(in[0]) {
		return "", errEncrypted
	}
	id, in := string(in[1:1+in[0]]), in[1+in[0]:]
	_, aead, ok := s.cipherOf(id, organization)
	if !ok || len(in) < aead.NonceSize() {
		return "", errEncrypted
	}
	plain, err := aead.Open(nil, in[:aead.NonceSize()], in[aead.NonceSize():], []byte(kind))
	if err != nil {
		return "", errEncrypted
	}
	return string(plain), nil
}

// cipherOf returns the organization's keys: one that nonces are made with, and the cipher.
func (s *Service) cipherOf(keyID, organization string) (nonces []byte, aead cipher.AEAD, ok bool) {
	root, ok := s.Keys.Derive(keyID, "encrypted ids of the directory dialect, "+organization)
	if !ok {
		return nil, nil, false
	}
	block, err := aes.NewCipher(sum(root, "cipher"))
	if err != nil {
		return nil, nil, false // not with a key of 32 bytes
	}
	aead, err = cipher.NewGCM(block)
	return sum(root, "nonce"), aead, err == nil
}

func sum(key []byte, text string) []byte {
	m := hmac.New(sha256.New, key)
	m.Write([]byte(text))
	return m.Sum(nil)
}
