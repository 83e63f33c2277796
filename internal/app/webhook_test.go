package app_test

import (
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"usersync/internal/app"
	"usersync/internal/app/apptest"
	"usersync/internal/credit"
	"usersync/internal/delivery"
	"usersync/internal/store"
	"usersync/internal/usersync"
	"usersync/internal/webhooksig"
)

// hook is an endpoint of an organization and its receiver.
type hook struct {
	customer
	receiver *apptest.Receiver
	id       string
}

func (n customer) hook(t *testing.T, signing string, secret usersync.Secret) hook {
	t.Helper()
	r := apptest.NewReceiver(t)
	e, err := delivery.CreateEndpoint(t.Context(), n.app.Store.Org(n.org.ID), "test", delivery.Endpoint{URL: r.URL, EventTypes: []string{"test"}, Signing: signing}, secret)
	must(t, err)
	return hook{n, r, e.ID}
}

// test sends a test message and returns it as it arrives.
func (h hook) test(t *testing.T) apptest.Received {
	t.Helper()
	d, err := delivery.Test(t.Context(), h.app.Store.Org(h.org.ID), "test", h.id, "")
	must(t, err)
	h.app.Relay.Wake()
	var got apptest.Received
	apptest.Eventually(t, "the test message arrived", func() bool {
		list := h.receiver.Got()
		i := slices.IndexFunc(list, func(r apptest.Received) bool { return r.ID == d.MessageID })
		if i >= 0 {
			got = list[i]
		}
		return i >= 0
	})
	return got
}

func (h hook) rotate(t *testing.T, make func(string) usersync.Secret) {
	t.Helper()
	_, err := delivery.RotateSecret(t.Context(), h.app.Store.Org(h.org.ID), "test", h.id, make)
	must(t, err)
}

// verifiedBy returns which of the secrets verify a webhook by the standard's own
// library.
func verifiedBy(t *testing.T, r apptest.Received, secrets ...usersync.Secret) string {
	t.Helper()
	out := ""
	for i, s := range secrets {
		wh, err := standardwebhooks.NewWebhook(s.Reveal())
		must(t, err)
		if wh.Verify(r.Body, r.Header) == nil {
			out += fmt.Sprint(i)
		}
	}
	return out
}

func TestWebhooksAreVerifiedByTheStandardsLibraryThroughRotations(t *testing.T) {
	t.Parallel()
	apptest.Each(t, func(t *testing.T, e *apptest.Environment) {
		n := newTenant(t, e.Start(t, app.All), 1)
		var secrets []usersync.Secret
		next := func(string) usersync.Secret {
			secrets = append(secrets, webhooksig.NewSecret())
			return secrets[len(secrets)-1]
		}
		h := n.hook(t, delivery.SigningSymmetric, next(""))
		want := func(by string) {
			t.Helper()
			r := h.test(t)
			if got := verifiedBy(t, r, secrets...); got != by {
				t.Errorf("verified by the secrets %q, want %q", got, by)
			}
			if got := len(strings.Fields(r.Header.Get(webhooksig.HeaderSignature))); got != len(by) {
				t.Errorf("%d signatures, want %d", got, len(by))
			}
			r.Body = append(slices.Clone(r.Body), ' ')
			if got := verifiedBy(t, r, secrets...); got != "" {
				t.Errorf("another body is verified by the secrets %q", got)
			}
		}
		want("0")
		h.rotate(t, next)
		want("01")
		h.rotate(t, next)
		want("12")
		admin(t, e, fmt.Sprintf(`UPDATE webhook_endpoints SET old_secret_until = %d, version = version + 1 WHERE id = '%s'`, time.Now().Add(-time.Second).UnixMicro(), h.id))
		want("2")
	})
}

// ed25519Verified reports whether one of the v1a signatures fits the key. It checks
// by itself, because the standard's Go library knows only v1.
func ed25519Verified(t *testing.T, r apptest.Received, public string) bool {
	t.Helper()
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(public, "whpk_"))
	must(t, err)
	signed := append([]byte(r.Header.Get("webhook-id")+"."+r.Header.Get("webhook-timestamp")+"."), r.Body...)
	return slices.ContainsFunc(strings.Fields(r.Header.Get("webhook-signature")), func(s string) bool {
		signature, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(s, "v1a,"))
		return err == nil && strings.HasPrefix(s, "v1a,") && ed25519.Verify(key, signed, signature)
	})
}

func TestAsymmetricWebhooksAreVerifiedWithThePublicKeysInForce(t *testing.T) {
	t.Parallel()
	each(t, 1, func(t *testing.T, n customer) {
		var public []string
		next := func(string) usersync.Secret {
			private, key := webhooksig.NewKeyPair()
			public = append(public, key)
			return private
		}
		h := n.hook(t, delivery.SigningAsymmetric, next(""))
		want := func(by ...bool) {
			t.Helper()
			r := h.test(t)
			for i, key := range public {
				ours := webhooksig.Verify(usersync.NewSecret(key), r.Header, r.Body, time.Now(), time.Minute) == nil
				if theirs := ed25519Verified(t, r, key); theirs != by[i] || ours != by[i] {
					t.Errorf("key %d verifies: %v, by our package %v, want %v", i, theirs, ours, by[i])
				}
			}
		}
		want(true)
		h.rotate(t, next)
		want(true, true)
		h.rotate(t, next)
		want(false, true, true)
	})
}

// enqueue stores n messages for the endpoint in one transaction and returns
// their deliveries.
func (h hook) enqueue(t *testing.T, n int) []string {
	t.Helper()
	ids := make([]string, n)
	must(t, h.app.Store.Tx(t.Context(), func(tx *store.Tx) error {
		account, err := credit.Lock(t.Context(), tx, h.org.ID)
		if err != nil {
			return err
		}
		messages := make([]delivery.NewMessage, n)
		for i := range messages {
			account.Sequence++
			m := delivery.Message{ID: usersync.NewID(usersync.PrefixMessage), Type: delivery.MessageTest, Sequence: account.Sequence, Body: []byte(`{}`)}
			messages[i] = delivery.NewMessage{Message: m, Endpoints: []string{h.id}}
			ids[i] = delivery.IDOf(m.ID, h.id)
		}
		if err := credit.Save(t.Context(), tx, account); err != nil {
			return err
		}
		return delivery.Enqueue(t.Context(), tx, h.org.ID, messages)
	}))
	h.app.Relay.Wake()
	return ids
}

func TestEndpointThatHangsDelaysNoOther(t *testing.T) {
	t.Parallel()
	apptest.Each(t, func(t *testing.T, e *apptest.Environment) {
		e.Config.WorkerConcurrency = 1 // the fewest slots
		n := newTenant(t, e.Start(t, app.All), 1)
		quick := n.hook(t, delivery.SigningSymmetric, webhooksig.NewSecret())
		slow := n.hook(t, delivery.SigningSymmetric, webhooksig.NewSecret())
		released := make(chan struct{})
		t.Cleanup(func() { close(released) })
		slow.receiver.Answer(func(http.ResponseWriter, int) { <-released })

		const count = 200
		deliver := func() time.Duration {
			before, start := len(quick.receiver.Got()), time.Now()
			quick.enqueue(t, count)
			apptest.Eventually(t, "all arrived", func() bool { return len(quick.receiver.Got()) == before+count })
			return time.Since(start)
		}
		alone := deliver()
		slow.enqueue(t, 30*64) // more tasks than there are slots
		apptest.Eventually(t, "calls hang", func() bool { return len(slow.receiver.Got()) >= 16 })
		// A delivery that hangs takes 15 s, so a wait for one of them would show.
		if beside := deliver(); beside > 5*alone+5*time.Second {
			t.Errorf("%d deliveries took %s beside an endpoint that hangs, %s without it", count, beside, alone)
		}
	})
}
