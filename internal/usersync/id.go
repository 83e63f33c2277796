package usersync

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"strings"
	"sync"
	"time"
)

// Prefix says what an id names; it stands before the underscore.
type Prefix string

// The prefixes of all ids.
const (
	PrefixRequest      Prefix = "req"
	PrefixUser         Prefix = "user"
	PrefixOrganization Prefix = "org"
	PrefixKey          Prefix = "key"
	PrefixLedger       Prefix = "led"
	PrefixColleague    Prefix = "tbi"
	PrefixPerson       Prefix = "per"
	PrefixEndpoint     Prefix = "whe"
	PrefixMessage      Prefix = "msg"
	PrefixDelivery     Prefix = "del"
	PrefixTask         Prefix = "tsk"
	PrefixClaim        Prefix = "clm"
	PrefixAudit        Prefix = "aud"
	PrefixImport       Prefix = "imp"
	PrefixErasure      Prefix = "era"
	PrefixEvent        Prefix = "evt"
	PrefixConnection   Prefix = "con"
)

// alphabet is Crockford's base 32 in lower case: it sorts like the bits it holds.
const alphabet = "0123456789abcdefghjkmnpqrstvwxyz"

// idTime is the length of the time part: 50 bits of milliseconds.
const idTime = 10

// idRandom is the length of the part that keeps ids apart: 80 bits.
const idRandom = 16

// idDelivery is the length of a delivery's id behind the prefix, see delivery.IDOf.
const idDelivery = idTime + idRandom + 8

var clock struct {
	sync.Mutex
	ms  uint64
	low uint16
}

// NewID returns a new id: prefix, time in milliseconds, and 80 bits of which
// the first 16 count within one process and millisecond, so that the ids of
// one process sort in the order they were made.
func NewID(p Prefix) string {
	var bits [10]byte
	_, _ = rand.Read(bits[:]) // crypto/rand.Read never fails
	ms, low := tick(uint64(time.Now().UnixMilli()))
	binary.BigEndian.PutUint16(bits[:2], low)
	return format(p, encodeTime(ms), bits)
}

// tick returns the present millisecond and a number that rises within it; when
// the number runs out or the clock steps back, the time is borrowed ahead.
func tick(now uint64) (ms uint64, low uint16) {
	clock.Lock()
	defer clock.Unlock()
	switch {
	case now > clock.ms:
		clock.ms, clock.low = now, 0
	case clock.low == 1<<16-1:
		clock.ms, clock.low = clock.ms+1, 0
	default:
		clock.low++
	}
	return clock.ms, clock.low
}

// DeriveID returns the id of what cause leads to: the same cause and parts
// always give the same id, so that doing it twice cannot make two. The time
// part is that of the cause.
func DeriveID(p Prefix, cause string, parts ...string) string {
	sum := sha256.Sum256([]byte(cause + "\x00" + strings.Join(parts, "\x00")))
	return format(p, timePart(cause), [10]byte(sum[:10]))
}

// KeyedID returns the id that key has among the ids made with salt. It has no
// time part: what it names is older than any one cause.
func KeyedID(p Prefix, salt []byte, key string) string {
	mac := hmac.New(sha256.New, salt)
	mac.Write([]byte(key))
	sum := mac.Sum(nil)
	return string(p) + "_" + encode(sum[:15])
}

// timePart returns the time part of an id, or zeroes for one that has none.
func timePart(id string) string {
	_, rest, _ := strings.Cut(id, "_")
	if len(rest) < idTime+idRandom {
		return strings.Repeat("0", idTime)
	}
	return rest[:idTime]
}

// IDBound returns the smallest id of kind p that could be made at t: a border
// for range scans over ids.
func IDBound(p Prefix, t time.Time) string {
	return string(p) + "_" + encodeTime(uint64(max(t.UnixMilli(), 0)))
}

// HasPrefix reports whether id has the form of an id of kind p.
func HasPrefix(id string, p Prefix) bool {
	rest, ok := strings.CutPrefix(id, string(p)+"_")
	least, most := 24, idTime+idRandom
	if p == PrefixDelivery {
		least, most = idDelivery, idDelivery
	}
	if !ok || len(rest) < least || len(rest) > most {
		return false
	}
	return strings.Trim(rest, alphabet) == ""
}

func format(p Prefix, timePart string, bits [10]byte) string {
	return string(p) + "_" + timePart + encode(bits[:])
}

func encodeTime(ms uint64) string {
	var out [idTime]byte
	for i := idTime - 1; i >= 0; i-- {
		out[i] = alphabet[ms&31]
		ms >>= 5
	}
	return string(out[:])
}

// encode writes b, a multiple of five bytes long, in base 32.
func encode(b []byte) string {
	out := make([]byte, 0, len(b)/5*8)
	for ; len(b) > 0; b = b[5:] {
		v := uint64(b[0])<<32 | uint64(binary.BigEndian.Uint32(b[1:]))
		for shift := 35; shift >= 0; shift -= 5 {
			out = append(out, alphabet[v>>shift&31])
		}
	}
	return string(out)
}
