// Package password hashes passwords with argon2id, a bounded number at a time: hashing is
// slow on purpose, and whoever sends many passwords must not take the machine from others.
package password

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"runtime"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"

	"usersync/internal/fairness"
	"usersync/internal/usersync"
)

// The parameters of a new hash: those that the OWASP Password Storage Cheat Sheet
// recommends at least, 19 MiB, two passes, one lane.
const (
	memory  = 19 * 1024 // KiB
	passes  = 2
	lanes   = 1
	saltLen = 16 // bytes, as RFC 9106 recommends
	hashLen = 32 // bytes
)

// The length of a password. There is no other rule: NIST SP 800-63B, section 5.1.1.2.
const (
	Least = 8   // characters
	Most  = 256 // bytes
)

// Valid reports whether a text can be a password: UTF-8 of the right length.
func Valid(text string) bool {
	return utf8.ValidString(text) && utf8.RuneCountInString(text) >= Least && len(text) <= Most
}

const (
	// maxWaiting bounds the passwords that wait in a process. An organization may hold
	// as many as it leaves free.
	maxWaiting = 64
	// patience is how long a password waits for its turn.
	patience = 5 * time.Second
)

// ErrBusy is the refusal of a password while too many are being hashed.
var ErrBusy = &usersync.Error{Code: usersync.CodeUnavailable, Message: "Too many passwords are being checked. Try again in a second.", RetryAfter: time.Second}

// Hasher hashes passwords, and takes half of the processors for it at most. It is safe for
// concurrent use. Make it by NewHasher.
type Hasher struct {
	turns   chan struct{}
	waiting *fairness.Places
	// nobody is a hash that no password fits, for whoever has none.
	nobody parsed
}

// NewHasher returns a Hasher.
func NewHasher() *Hasher {
	nobody := parsed{memory: memory, passes: passes, lanes: lanes, salt: make([]byte, saltLen), hash: make([]byte, hashLen)}
	_, _ = rand.Read(nobody.salt) // crypto/rand.Read never fails
	_, _ = rand.Read(nobody.hash)
	return &Hasher{turns: make(chan struct{}, max(runtime.GOMAXPROCS(0)/2, 1)), waiting: fairness.NewPlaces(maxWaiting), nobody: nobody}
}

// turn waits until a password of an organization may be hashed. done must be called then.
func (h *Hasher) turn(ctx context.Context, organization string) (done func(), err error) {
	if !h.waiting.Take(organization, 1) {
		return nil, ErrBusy
	}
	impatient := time.NewTimer(patience)
	defer impatient.Stop()
	select {
	case h.turns <- struct{}{}:
		return func() { <-h.turns; h.waiting.Free(organization, 1) }, nil
	case <-impatient.C:
		err = ErrBusy
	case <-ctx.Done():
		err = ctx.Err()
	}
	h.waiting.Free(organization, 1)
	return nil, err
}

// Hash returns the hash of a password, in the PHC string format. The error is ErrBusy or
// that of ctx.
func (h *Hasher) Hash(ctx context.Context, organization string, password usersync.Secret) (usersync.Secret, error) {
	done, err := h.turn(ctx, organization)
	if err != nil {
		return usersync.Secret{}, err
	}
	defer done()
	p := parsed{memory: memory, passes: passes, lanes: lanes, salt: make([]byte, saltLen)}
	_, _ = rand.Read(p.salt) // crypto/rand.Read never fails
	p.hash = p.of(password, hashLen)
	return usersync.NewSecret(p.String()), nil
}

// Verdict is what comes of comparing a password with a hash.
type Verdict struct {
	Fits bool
	// Outdated says that the hash was made with other parameters than a new one would be.
	Outdated bool
}

// Compare compares a password with a hash. One that is "", or no hash at all, is compared
// all the same, with a hash that no password fits: the answer takes as long. The error is
// ErrBusy or that of ctx.
func (h *Hasher) Compare(ctx context.Context, organization string, password, hash usersync.Secret) (Verdict, error) {
	done, err := h.turn(ctx, organization)
	if err != nil {
		return Verdict{}, err
	}
	defer done()
	p, ok := parse(hash.Reveal())
	if !ok {
		p = h.nobody
	}
	same := subtle.ConstantTimeCompare(p.of(password, len(p.hash)), p.hash) == 1
	return Verdict{Fits: ok && same, Outdated: p.memory != memory || p.passes != passes || p.lanes != lanes}, nil
}

// parsed is a hash with its parameters.
type parsed struct {
	memory, passes uint32
	lanes          uint8
	salt, hash     []byte
}

func (p parsed) of(password usersync.Secret, length int) []byte {
	return argon2.IDKey([]byte(password.Reveal()), p.salt, p.passes, p.memory, p.lanes, uint32(length)) //nolint:gosec // at most maxPart
}

// String writes the hash in the PHC string format.
func (p parsed) String() string {
	encode := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, p.memory, p.passes, p.lanes, encode(p.salt), encode(p.hash))
}

// What a stored hash may ask for: more would let one row stop a process.
const (
	maxMemory = 256 * 1024 // KiB
	maxPasses = 16
	maxLanes  = 16
	maxPart   = 64 // bytes of salt or hash
)

// parse reads a hash in the PHC string format. ok is false where it is none.
func parse(text string) (p parsed, ok bool) {
	parts := strings.Split(text, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return p, false
	}
	if n, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &p.memory, &p.passes, &p.lanes); err != nil || n != 3 {
		return p, false
	}
	if p.memory == 0 || p.memory > maxMemory || p.passes == 0 || p.passes > maxPasses || p.lanes == 0 || p.lanes > maxLanes {
		return p, false
	}
	var err, err2 error
	p.salt, err = base64.RawStdEncoding.DecodeString(parts[4])
	p.hash, err2 = base64.RawStdEncoding.DecodeString(parts[5])
	return p, err == nil && err2 == nil && len(p.salt) >= 8 && len(p.salt) <= maxPart && len(p.hash) >= 16 && len(p.hash) <= maxPart
}
