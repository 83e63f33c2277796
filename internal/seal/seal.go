// Package seal keeps secrets encrypted at rest. Every value has a data key of
// its own; the data key is wrapped under a key of SEALING_KEYS, so that changing
// that key means wrapping short data keys again and never touches the values.
//
// Both layers are AES-256-GCM with a random nonce. A data key is used once. A
// sealing key wraps at most 2³² values (NIST SP 800-38D, section 8.3).
package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"usersync/internal/usersync"
)

// version opens every sealed text and is part of what both layers authenticate.
const version = "v1"

// keySize is the length of sealing and data keys, in bytes: AES-256.
const keySize = 32

// maxID is the longest key id. It is shorter than an encoded key, so that a key
// put in the place of its id is not taken for one, nor shown in an error.
const maxID = 32

// encoding has one text for each sequence of bytes: a changed character never
// decodes to the same bytes. (Line breaks, which it skips, are refused apart.)
var encoding = base64.RawStdEncoding.Strict()

// Keys are the sealing keys in force: the first seals, all open. They are safe
// for concurrent use and do not print.
type Keys struct {
	first string
	ids   []string
	byID  map[string]cipher.AEAD
	// roots are what keys for other purposes are derived from.
	roots map[string][]byte
}

// ParseKeys reads SEALING_KEYS: one or more `id:base64(32 bytes)`, separated by
// commas; spaces around them do not matter. Ids are 1–32 of a–z, A–Z, 0–9, _ and
// -, each used once. Errors have code invalid and show no key.
func ParseKeys(s usersync.Secret) (*Keys, error) {
	if strings.TrimSpace(s.Reveal()) == "" {
		return nil, invalid("SEALING_KEYS is empty")
	}
	keys := &Keys{byID: map[string]cipher.AEAD{}, roots: map[string][]byte{}}
	for i, entry := range strings.Split(s.Reveal(), ",") {
		id, key, aead, err := parseKey(strings.TrimSpace(entry))
		if err != nil {
			return nil, invalid(fmt.Sprintf("SEALING_KEYS entry %d: %v", i+1, err))
		}
		if keys.byID[id] != nil {
			return nil, invalid(fmt.Sprintf("SEALING_KEYS entry %d: key id %q is used twice", i+1, id))
		}
		if i == 0 {
			keys.first = id
		}
		keys.byID[id], keys.ids, keys.roots[id] = aead, append(keys.ids, id), mac(key, "derive")
	}
	return keys, nil
}

func invalid(fault string) error {
	return usersync.Errorf(usersync.CodeInvalid, "%s; expected id:base64(32 bytes), separated by commas", fault)
}

func parseKey(entry string) (id string, key []byte, _ cipher.AEAD, _ error) {
	id, text, found := strings.Cut(entry, ":")
	if !found {
		return "", nil, nil, errors.New("there is no colon")
	}
	if !validID(id) {
		return "", nil, nil, fmt.Errorf("the id is not 1 to %d letters, digits, _ or -", maxID)
	}
	// Other programs write the padding, ours does not need it.
	key, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(text, "="))
	if err != nil {
		return "", nil, nil, fmt.Errorf("key %q is not base64", id)
	}
	if len(key) != keySize {
		return "", nil, nil, fmt.Errorf("key %q has %d bytes", id, len(key))
	}
	aead, err := newAEAD(key)
	return id, key, aead, err
}

func mac(key []byte, text string) []byte {
	m := hmac.New(sha256.New, key)
	m.Write([]byte(text))
	return m.Sum(nil)
}

// Derive returns the key of 32 bytes that follows from one of the keys for a purpose. It
// opens nothing that is sealed. ok is false where no key has the id.
func (k *Keys) Derive(id, purpose string) (key []byte, ok bool) {
	root, ok := k.roots[id]
	if !ok {
		return nil, false
	}
	return mac(root, purpose), true
}

func validID(id string) bool {
	const allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"
	return id != "" && len(id) <= maxID && strings.Trim(id, allowed) == ""
}

func newAEAD(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// NewKey returns a new `id:base64` pair for SEALING_KEYS, with a random id.
func NewKey() string {
	var id [4]byte
	_, _ = rand.Read(id[:]) // crypto/rand.Read never fails
	return "k" + hex.EncodeToString(id[:]) + ":" + base64.StdEncoding.EncodeToString(randomKey())
}

func randomKey() []byte {
	key := make([]byte, keySize)
	_, _ = rand.Read(key) // crypto/rand.Read never fails
	return key
}

// FirstID returns the id of the key that seals: what KeyID returns for every
// value that needs no Rewrap.
func (k *Keys) FirstID() string { return k.first }

// IDs returns the ids of all keys, the first first.
func (k *Keys) IDs() []string { return slices.Clone(k.ids) }

// String hides the keys.
func (*Keys) String() string { return "[sealing keys]" }

// GoString hides the keys.
func (*Keys) GoString() string { return "[sealing keys]" }

// Seal encrypts plain. aad names the place the value is kept in, such as
// "webhook_endpoints/org_…/whe_…/secret": Open wants the same, so that a value moved to
// another row or another organization does not open. An older value of the same place
// does.
func (k *Keys) Seal(plain []byte, aad string) (string, error) {
	dataKey := randomKey()
	aead, err := newAEAD(dataKey)
	if err != nil {
		return "", failed("A secret cannot be sealed.", err)
	}
	return envelope{
		keyID:   k.first,
		wrapped: k.wrap(dataKey, aad),
		data:    aead.Seal(nil, nil, plain, dataAAD(aad)),
	}.String(), nil
}

// Open decrypts what Seal made with the same aad. Errors have code internal; the
// cause says which key is missing from SEALING_KEYS, when one is.
func (k *Keys) Open(sealed, aad string) ([]byte, error) {
	e, err := parseEnvelope(sealed)
	if err != nil {
		return nil, cannotOpen(err)
	}
	dataKey, err := k.unwrap(e, aad)
	if err != nil {
		return nil, cannotOpen(err)
	}
	aead, err := newAEAD(dataKey)
	if err != nil {
		return nil, cannotOpen(err)
	}
	plain, err := aead.Open(nil, nil, e.data, dataAAD(aad))
	if err != nil {
		return nil, cannotOpen(errors.New("the value was changed"))
	}
	return plain, nil
}

// Rewrap wraps the data key of sealed again under the first key and reports
// whether that changed anything; a value already under the first key is returned
// as it is. The value itself is neither opened nor changed.
func (k *Keys) Rewrap(sealed, aad string) (rewrapped string, changed bool, err error) {
	e, err := parseEnvelope(sealed)
	if err != nil {
		return "", false, cannotOpen(err)
	}
	if e.keyID == k.first {
		return sealed, false, nil
	}
	dataKey, err := k.unwrap(e, aad)
	if err != nil {
		return "", false, cannotOpen(err)
	}
	e.keyID, e.wrapped = k.first, k.wrap(dataKey, aad)
	return e.String(), true, nil
}

// KeyID returns the id of the key that sealed is wrapped under.
func KeyID(sealed string) (string, error) {
	e, err := parseEnvelope(sealed)
	if err != nil {
		return "", cannotOpen(err)
	}
	return e.keyID, nil
}

func (k *Keys) wrap(dataKey []byte, aad string) []byte {
	return k.byID[k.first].Seal(nil, nil, dataKey, wrapAAD(k.first, aad))
}

func (k *Keys) unwrap(e envelope, aad string) ([]byte, error) {
	aead := k.byID[e.keyID]
	if aead == nil {
		return nil, fmt.Errorf("it is sealed under key %q, which is missing from SEALING_KEYS", e.keyID)
	}
	dataKey, err := aead.Open(nil, nil, e.wrapped, wrapAAD(e.keyID, aad))
	if err != nil {
		return nil, fmt.Errorf("it was changed or moved, or key %q is not the one that sealed it", e.keyID)
	}
	return dataKey, nil
}

// The two layers authenticate different texts, so that neither part can stand in
// for the other. aad comes last: nothing after it can be taken for a part of it.
func wrapAAD(keyID, aad string) []byte { return []byte(version + "\x00key\x00" + keyID + "\x00" + aad) }
func dataAAD(aad string) []byte        { return []byte(version + "\x00data\x00" + aad) }

// envelope is a sealed text in its parts.
type envelope struct {
	keyID         string
	wrapped, data []byte
}

func (e envelope) String() string {
	return strings.Join([]string{version, e.keyID, encoding.EncodeToString(e.wrapped), encoding.EncodeToString(e.data)}, ".")
}

func parseEnvelope(sealed string) (envelope, error) {
	parts := strings.Split(sealed, ".")
	if len(parts) != 4 || parts[0] != version || !validID(parts[1]) {
		return envelope{}, errors.New("it does not have the form v1.key.key.value")
	}
	wrapped, err := decode(parts[2])
	if err != nil {
		return envelope{}, errors.New("its data key is not base64")
	}
	data, err := decode(parts[3])
	if err != nil {
		return envelope{}, errors.New("its value is not base64")
	}
	return envelope{parts[1], wrapped, data}, nil
}

func decode(text string) ([]byte, error) {
	if strings.ContainsAny(text, "\r\n") {
		return nil, errors.New("line break")
	}
	return encoding.DecodeString(text)
}

func cannotOpen(cause error) error { return failed("A stored secret cannot be opened.", cause) }

func failed(message string, cause error) error {
	return usersync.Errorf(usersync.CodeInternal, "%s", message).Because(cause)
}
