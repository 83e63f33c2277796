package webhooksig_test

import (
	"bytes"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"usersync/internal/usersync"
	"usersync/internal/webhooksig"
)

// FuzzVerify offers any headers to both sorts of keys. Only messages that the key
// signed may pass, and only unchanged.
func FuzzVerify(f *testing.F) {
	symmetric := secretOf(32)
	private, public := webhooksig.NewKeyPair()
	both := signer(f, symmetric, private)
	signed := both.Headers("msg_1", time.Unix(1767225600, 0), []byte("{}"))
	f.Add("msg_1", "1767225600", signed.Get(webhooksig.HeaderSignature), []byte("{}"))
	for _, seed := range [][3]string{
		{"msg_1", "1767225600", "v1,"}, {"msg_1", "1767225600", "v1a,AAAA v1,AAAA"}, {"", "", ""}, {"a.b", "+1767225600", "v1, v1a,"},
		{"msg_1", "9223372036854775807", "v2,x"}, {"msg_1", "-9223372036854775808", "v1"}, {"m", "01767225600", "V1,x"},
	} {
		f.Add(seed[0], seed[1], seed[2], []byte(`{"type":"x"}`))
	}
	f.Fuzz(func(t *testing.T, id, timestamp, signature string, body []byte) {
		header := http.Header{webhooksig.HeaderID: {id}, webhooksig.HeaderTimestamp: {timestamp}, webhooksig.HeaderSignature: {signature}}
		seconds, notNumber := strconv.ParseInt(timestamp, 10, 64)
		for _, key := range []usersync.Secret{symmetric, usersync.NewSecret(public)} {
			err := webhooksig.Verify(key, header, body, time.Unix(seconds, 0), time.Minute)
			if err != nil && usersync.CodeOf(err) != usersync.CodeUnauthorized {
				t.Fatalf("code of %v", err)
			}
			genuine := notNumber == nil && strconv.FormatInt(seconds, 10) == timestamp && sharesOne(signature, both.Sign(id, time.Unix(seconds, 0), body))
			if err == nil && !genuine {
				t.Fatalf("a signature that was never made passes: %q %q %q", id, timestamp, signature)
			}
		}
		if id == "" || notNumber != nil || len(id) > 1000 {
			return
		}
		at := time.Unix(seconds, 0)
		mine := both.Headers(id, at, body)
		for _, key := range []usersync.Secret{symmetric, usersync.NewSecret(public)} {
			if err := webhooksig.Verify(key, mine, body, at, time.Minute); err != nil {
				t.Fatalf("our own signature: %v", err)
			}
			if webhooksig.Verify(key, mine, append(bytes.Clone(body), 'x'), at, time.Minute) == nil {
				t.Fatal("a longer body passes")
			}
			if webhooksig.Verify(key, mine, body, at.Add(61*time.Second), time.Minute) == nil {
				t.Fatal("an old message passes")
			}
		}
	})
}

// sharesOne reports whether a signature of one list is in the other.
func sharesOne(a, b string) bool {
	for s := range strings.SplitSeq(a, " ") {
		for known := range strings.SplitSeq(b, " ") {
			if s == known {
				return true
			}
		}
	}
	return false
}

// FuzzSecret offers any text as a key. Either the key signs and verifies, or it is
// refused and the error does not quote it.
func FuzzSecret(f *testing.F) {
	private, public := webhooksig.NewKeyPair()
	for _, seed := range []string{secretOf(24).Reveal(), secretOf(64).Reveal(), private.Reveal(), public, "whsec_", "whsk_AAAA", "whsec_\nAAAA", "x"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		secret := usersync.NewSecret(text)
		s, err := webhooksig.NewSigner(secret)
		if err != nil {
			if usersync.CodeOf(err) != usersync.CodeInvalid || len(text) > 12 && strings.Contains(err.Error(), text) {
				t.Fatalf("refused with %v", err)
			}
			return
		}
		verifying := secret
		if public, err := webhooksig.PublicKey(secret); err == nil {
			verifying = usersync.NewSecret(public)
		}
		at := time.Unix(1767225600, 0)
		if err := webhooksig.Verify(verifying, s.Headers("msg_1", at, []byte(text)), []byte(text), at, 0); err != nil {
			t.Fatalf("what the key signed: %v", err)
		}
	})
}
