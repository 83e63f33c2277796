// Package providers is the list of the identity providers that organizations keep their
// users in, and asks them: briefly remembered, one call for many look-ups, and not at all
// while one is away.
package providers

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/singleflight"

	"usersync/internal/outbound"
	"usersync/internal/provider"
	"usersync/internal/provider/auth0"
	"usersync/internal/provider/gigya"
	"usersync/internal/provider/httpjson"
	"usersync/internal/queue"
	"usersync/internal/record"
	"usersync/internal/tenant"
	"usersync/internal/usersync"
)

// kind is a provider that settings can name.
type kind struct {
	name string
	// limit bounds the look-ups of one organization, over all processes.
	limit queue.Limit
	// has reports whether the organization has an account there, which open opens.
	has  func(p tenant.Providers) bool
	open func(p tenant.Providers, client *outbound.Client) provider.Provider
	// validate notes what is wrong with the account's settings.
	validate func(p tenant.Providers, v *validation)
}

// atOnce bounds the look-ups of one organization that are under way.
const atOnce = 16

// unknown is the limit of providers that publish none.
var unknown = queue.Limit{Concurrent: atOnce, PerSecond: 20, Burst: 40}

// kinds is THE LIST.
var kinds = []kind{
	{
		// The Management API of a small tenant takes 500 calls a minute, 40 at once.
		name: "Auth0", limit: queue.Limit{Concurrent: atOnce, PerSecond: 8, Burst: 40}, has: func(p tenant.Providers) bool { return p.Auth0 != nil },
		open: func(p tenant.Providers, client *outbound.Client) provider.Provider {
			return auth0.New(*p.Auth0, client)
		},
		validate: func(p tenant.Providers, v *validation) { v.auth0(*p.Auth0) },
	},
	{
		name: "Gigya", limit: unknown, has: func(p tenant.Providers) bool { return p.Gigya != nil },
		open: func(p tenant.Providers, client *outbound.Client) provider.Provider {
			return gigya.New(*p.Gigya, client)
		},
		validate: func(p tenant.Providers, v *validation) { v.gigya(*p.Gigya) },
	},
	described("SSOR", func(p tenant.Providers) *tenant.HTTPProvider { return p.SSOR }),
	described("Firefly", func(p tenant.Providers) *tenant.HTTPProvider { return p.Firefly }),
}

// described returns a provider that is served by httpjson under a name.
func described(name string, of func(tenant.Providers) *tenant.HTTPProvider) kind {
	return kind{
		name: name, limit: unknown, has: func(p tenant.Providers) bool { return of(p) != nil },
		open: func(p tenant.Providers, client *outbound.Client) provider.Provider {
			return httpjson.New(httpjson.WithPreset(name, *of(p)), client)
		},
		validate: func(p tenant.Providers, v *validation) {
			v.described(strings.ToLower(name), httpjson.WithPreset(name, *of(p)))
		},
	}
}

// find returns the provider of a name, which matches in any case.
func find(name string) (kind, bool) {
	for _, k := range kinds {
		if strings.EqualFold(k.name, name) {
			return k, true
		}
	}
	return kind{}, false
}

const (
	// remembered is how long an answer counts.
	remembered = 5 * time.Second
	// maxRemembered and maxAccounts bound the answers and the accounts in memory.
	maxRemembered = 10_000
	maxAccounts   = 1_000
	// askWithin bounds one look-up, whose callers may leave earlier.
	askWithin = 3 * time.Second
	// againWithin is how long a look-up may have taken for a second try, and againAfter
	// what lies in between.
	againWithin = time.Second
	againAfter  = 100 * time.Millisecond
)

// Hub asks the providers. Make it by New.
type Hub struct {
	client   *outbound.Client
	limiter  *queue.Limiter
	accounts *lru.Cache[string, account]
	answers  *lru.Cache[string, answer]
	asking   singleflight.Group
}

// account is an organization's account as its settings were.
type account struct {
	settings [sha256.Size]byte
	provider provider.Provider
	key      queue.AccountKey
	limit    queue.Limit
}

// answer is what a provider said, and when.
type answer struct {
	profile record.Profile
	found   bool
	at      time.Time
}

// New returns a Hub whose calls client makes, within the limits that limiter keeps over all
// processes; nil keeps none.
func New(client *outbound.Client, limiter *queue.Limiter) *Hub {
	accounts, _ := lru.New[string, account](maxAccounts) // New fails only for a bound below 1.
	answers, _ := lru.New[string, answer](maxRemembered)
	return &Hub{client: client, limiter: limiter, accounts: accounts, answers: answers}
}

// Valid reports whether the organization has a provider to ask: a name that is known, and
// an account.
func (h *Hub) Valid(o tenant.Organization) bool {
	k, ok := find(o.Settings.Flow.UserProvider)
	return ok && k.has(o.Settings.Providers)
}

// Find asks the organization's provider for whoever has an address.
func (h *Hub) Find(ctx context.Context, o tenant.Organization, email usersync.Email) (p record.Profile, found bool, err error) {
	a, err := h.account(o)
	if err != nil {
		return p, false, err
	}
	key := fmt.Sprintf("%s\n%x\n%s\n%s", o.ID, a.settings[:8], email.Key(), email.Display())
	if known, ok := h.answers.Get(key); ok && time.Since(known.at) < remembered {
		return known.profile, known.found, nil
	}
	asked := h.asking.DoChan(key, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), askWithin)
		defer cancel()
		got, err := h.askWithinLimit(ctx, a, email)
		if err == nil {
			h.answers.Add(key, got)
		}
		return got, err
	})
	select {
	case r := <-asked:
		got, _ := r.Val.(answer)
		return got.profile, got.found, r.Err
	case <-ctx.Done():
		return p, false, usersync.Errorf(usersync.CodeUnavailable, "The provider did not answer in time.").Because(ctx.Err())
	}
}

// account returns the organization's account, opened anew where its settings have changed:
// tokens, circuit and the wish to be left alone belong to the settings.
func (h *Hub) account(o tenant.Organization) (account, error) {
	settings := sum(o)
	if a, ok := h.accounts.Get(o.ID); ok && a.settings == settings {
		return a, nil
	}
	k, ok := find(o.Settings.Flow.UserProvider)
	if !ok || !k.has(o.Settings.Providers) {
		return account{}, errors.New("the organization has no account at a provider")
	}
	a := account{settings, k.open(o.Settings.Providers, h.client), queue.KeyOf(o.ID, "provider", string(settings[:])), k.limit}
	if before, ok, _ := h.accounts.PeekOrAdd(o.ID, a); ok {
		if before.settings == settings {
			return before, nil // another look-up was here first
		}
		h.accounts.Add(o.ID, a)
	}
	return a, nil
}

// sum tells settings apart, secrets included.
func sum(o tenant.Organization) [sha256.Size]byte {
	text, _ := json.Marshal(o.Settings.Providers) // texts can always be JSON
	whole := sha256.New()
	_, _ = fmt.Fprintf(whole, "%s\n%s\n", strings.ToLower(o.Settings.Flow.UserProvider), text)
	for _, secret := range secretsOf(o.Settings.Providers) {
		_, _ = fmt.Fprintf(whole, "%d\n%s", len(secret.Reveal()), secret.Reveal())
	}
	return [sha256.Size]byte(whole.Sum(nil))
}

func secretsOf(p tenant.Providers) (list []usersync.Secret) {
	if p.Auth0 != nil {
		list = append(list, p.Auth0.ClientSecret.Secret)
	}
	if p.Gigya != nil {
		list = append(list, p.Gigya.Secret.Secret)
	}
	for _, one := range []*tenant.HTTPProvider{p.SSOR, p.Firefly} {
		if one != nil {
			list = append(list, one.Secret.Secret)
		}
	}
	return list
}

// inLineFor is how long a look-up waits for its turn at a provider.
const inLineFor = time.Second

// askWithinLimit asks when it is the look-up's turn. What the provider says of when to come
// again holds for all processes. A limiter that is away keeps nobody from asking: each
// process still leaves the provider alone when it wants that.
func (h *Hub) askWithinLimit(ctx context.Context, a account, email usersync.Email) (answer, error) {
	if h.limiter == nil {
		return ask(ctx, a.provider, email)
	}
	release, err := h.limiter.Acquire(ctx, a.key, a.limit, askWithin, inLineFor)
	if held, ok := errors.AsType[*queue.HeldBackError](err); ok {
		refusal := usersync.Errorf(usersync.CodeRateLimited, "The provider has had too many calls.").Because(held)
		refusal.RetryAfter = held.Wait
		return answer{}, refusal
	}
	if err == nil {
		defer release()
	}
	got, err := ask(ctx, a.provider, email)
	if e := usersync.AsError(err); e != nil && e.Code == usersync.CodeRateLimited && e.RetryAfter > 0 {
		_ = h.limiter.Pause(context.WithoutCancel(ctx), a.key, e.RetryAfter) // else it holds for this process
	}
	return got, err
}

// ask asks, and once more where that failed quickly. What comes back fits our store and is
// about whom was asked for.
func ask(ctx context.Context, p provider.Provider, email usersync.Email) (got answer, err error) {
	began := time.Now()
	for try := 0; ; try++ {
		got.profile, got.found, err = p.Find(ctx, email)
		if try > 0 || usersync.CodeOf(err) != usersync.CodeUnavailable || time.Since(began) > againWithin {
			break
		}
		select {
		case <-time.After(againAfter):
		case <-ctx.Done():
			return answer{}, err
		}
	}
	if err != nil {
		return answer{}, err
	}
	if got.found && got.profile.Email.Key() != email.Key() {
		return answer{at: time.Now()}, nil
	}
	got.profile, got.at = got.profile.Tidy(), time.Now()
	return got, nil
}
