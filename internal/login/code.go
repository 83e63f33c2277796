package login

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"database/sql"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"usersync/internal/seal"
	"usersync/internal/store"
	"usersync/internal/usersync"
)

// Purpose is what a code is for. One of a purpose is none of another.
type Purpose string

// The purposes.
const (
	ForVerification Purpose = "verification" // the address is verified
	ForPassword     Purpose = "password"     // a forgotten password is replaced
)

const (
	// CodeFor is how long a code is good.
	CodeFor = 15 * time.Minute
	// MaxTries is how often a code may be guessed at.
	MaxTries = 5
	// codeDigits are those of a code: MaxTries guesses find one of 20 million.
	codeDigits = 8
)

// Code names a code by which somebody shows that an address is theirs. The code itself is
// stored nowhere.
type Code struct {
	// Person is that of whoever asked for it, see Person.
	Person  string
	Purpose Purpose
	// Nonce is another one for each code. The code follows from it, by the key KeyID.
	Nonce, KeyID string
	// UserID is "" where nobody has the address.
	UserID string
	// ReturnURL is where the letter leads, "" for nowhere.
	ReturnURL string
}

// NewCode returns a new code for a person, by the first of the keys.
func NewCode(keys *seal.Keys, person string, p Purpose) Code {
	return Code{Person: person, Purpose: p, Nonce: rand.Text(), KeyID: keys.FirstID()}
}

// Person returns the keyed hash of an address, with the salt of its organization.
func Person(salt []byte, email usersync.Email) string { return Hash(salt, "person", email.Key()) }

// Hash returns a keyed hash of a text of some kind, with the salt of an organization.
func Hash(salt []byte, kind, text string) string {
	return hex.EncodeToString(macOf(salt, "login", kind, text)[:16])
}

// macOf returns the HMAC-SHA-256 of texts, of which none but the last holds a NUL.
func macOf(key []byte, texts ...string) []byte {
	m := hmac.New(sha256.New, key)
	m.Write([]byte(strings.Join(texts, "\x00")))
	return m.Sum(nil)
}

// Text returns the code as it is sent. ok is false where the key is not there any more.
func (c Code) Text(keys *seal.Keys, organization string) (text string, ok bool) {
	key, ok := keys.Derive(c.KeyID, "one-time codes, "+organization)
	if !ok {
		return "", false
	}
	number := binary.BigEndian.Uint64(macOf(key, string(c.Purpose), c.Person, c.Nonce)) % 100_000_000 // codeDigits
	return fmt.Sprintf("%0*d", codeDigits, number), true
}

// Fits reports whether somebody sent the code, however they group its digits.
func (c Code) Fits(keys *seal.Keys, organization string, sent usersync.Secret) bool {
	text, ok := c.Text(keys, organization)
	plain := strings.NewReplacer(" ", "", "-", "").Replace(sent.Reveal())
	return subtle.ConstantTimeCompare([]byte(text), []byte(plain)) == 1 && ok
}

var saveCodeStatement = store.Define("login.saveCode", `
INSERT INTO login_codes (organization_id, person, purpose, nonce, key_id, user_id, return_url, tries, expires_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, 0, {now} + $8)
ON CONFLICT (organization_id, person, purpose) DO UPDATE SET nonce = excluded.nonce, key_id = excluded.key_id, user_id = excluded.user_id,
    return_url = excluded.return_url, tries = 0, expires_at = excluded.expires_at`)

// SaveCode stores a code, in place of the person's earlier one of the purpose. It is good
// for CodeFor, by the database's clock.
func SaveCode(ctx context.Context, tx *store.Tx, organization string, c Code) error {
	_, err := tx.Exec(ctx, saveCodeStatement, nil, organization, c.Person, string(c.Purpose), c.Nonce, c.KeyID, c.UserID, c.ReturnURL, CodeFor.Microseconds())
	if err != nil {
		return fmt.Errorf("save the code: %w", err)
	}
	return nil
}

var tryStatement = store.Define("login.try", `
UPDATE login_codes SET tries = tries + 1
WHERE organization_id = $1 AND person = $2 AND purpose = $3 AND expires_at > {now} AND tries < $4
RETURNING nonce, key_id, user_id, return_url`)

// Try counts a guess at a person's code, and returns what it is to be compared with. ok is
// false where there is no code, or none that is still good. Commit it before the guess is
// judged: a guess that came to nothing counts all the same.
func Try(ctx context.Context, tx *store.Tx, organization, person string, p Purpose) (c Code, ok bool, err error) {
	c = Code{Person: person, Purpose: p}
	err = tx.QueryRow(ctx, tryStatement, organization, person, string(p), MaxTries).Scan(&c.Nonce, &c.KeyID, &c.UserID, &c.ReturnURL)
	if errors.Is(err, sql.ErrNoRows) {
		return c, false, nil
	}
	if err != nil {
		return c, false, fmt.Errorf("count the guess: %w", store.Classify(err))
	}
	return c, true, nil
}

var useStatement = store.Define("login.use", `
DELETE FROM login_codes WHERE organization_id = $1 AND person = $2 AND purpose = $3 AND nonce = $4 AND expires_at > {now}`)

// Use uses a code up, in the transaction of what it allows. It reports false where another
// call was first, or the code has expired.
func Use(ctx context.Context, tx *store.Tx, organization string, c Code) (bool, error) {
	n, err := tx.Exec(ctx, useStatement, nil, organization, c.Person, string(c.Purpose), c.Nonce)
	if err != nil {
		return false, fmt.Errorf("use the code up: %w", err)
	}
	return n == 1, nil
}

var dropCodesStatement = store.Define("login.dropCodes", `DELETE FROM login_codes WHERE organization_id = $1 AND person = $2`)

// DropCodes ends the codes of a person.
func DropCodes(ctx context.Context, tx *store.Tx, organization, person string) error {
	if _, err := tx.Exec(ctx, dropCodesStatement, nil, organization, person); err != nil {
		return fmt.Errorf("end the codes: %w", err)
	}
	return nil
}

// Addressed is a code with whom it is for.
type Addressed struct {
	Code
	Email     usersync.Email
	ExpiresAt usersync.Time
}

var addressedStatement = store.Define("login.addressed", `
SELECT c.key_id, c.user_id, c.return_url, c.expires_at, u.email, u.email_key
FROM login_codes c JOIN users u ON u.id = c.user_id
WHERE c.organization_id = $1 AND c.person = $2 AND c.purpose = $3 AND c.nonce = $4 AND c.expires_at > {now} AND u.organization_id = $1`)

// FindAddressed returns a code that is still good, with the user whom it is for. found is
// false where it is for nobody, or there is another one by now.
func FindAddressed(ctx context.Context, o *store.Org, person string, p Purpose, nonce string) (a Addressed, found bool, err error) {
	a.Code = Code{Person: person, Purpose: p, Nonce: nonce}
	var expires int64
	var email, key string
	err = o.Reader().QueryRow(ctx, addressedStatement, o.ID(), person, string(p), nonce).
		Scan(&a.KeyID, &a.UserID, &a.ReturnURL, &expires, &email, &key)
	if errors.Is(err, sql.ErrNoRows) {
		return a, false, nil
	}
	if err != nil {
		return a, false, fmt.Errorf("find the code: %w", store.Classify(err))
	}
	a.Email, a.ExpiresAt = usersync.NewEmail(email, key), store.Stamp(expires)
	return a, true, nil
}
