// Package doctor looks at all that an installation stands on, and says of each thing
// what is wrong with it and what to do.
package doctor

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"usersync/internal/config"
	"usersync/internal/connector"
	"usersync/internal/queue"
	"usersync/internal/rewrap"
	"usersync/internal/seal"
	"usersync/internal/store"
	"usersync/internal/usersync"
)

// State says how one thing is.
type State string

// The states of a thing.
const (
	OK     State = "ok"
	Warn   State = "WARN" // the service works, and something should be done
	Failed State = "FAILED"
)

// Finding is what was found of one thing.
type Finding struct {
	Thing string
	State State
	// Says is what is there, or wrong. Next is what to do about it; empty when it is ok.
	Says, Next string
}

// Patient is the installation that is looked at.
type Patient struct {
	Config *config.Config
	Keys   *seal.Keys
	Store  *store.Store // nil where it could not be opened: see StoreError
	Queue  *queue.Client
	// Platforms are those that this release can call.
	Platforms []connector.Platform
	// StoreError says why the database could not be opened.
	StoreError error
}

// within bounds the look at one thing.
const within = 10 * time.Second

// checks are all that is looked at, in the order in which it is told.
var checks = []func(context.Context, Patient) Finding{database, schema, databaseClock, sealingKeys, redis, redisPolicy, redisClock, egress, names, disk, platforms}

// Look looks at everything. What cannot be looked at, because something before it failed,
// is left out.
func Look(ctx context.Context, p Patient) []Finding {
	var out []Finding
	for _, check := range checks {
		one, cancel := context.WithTimeout(ctx, within)
		if f := check(one, p); f.Thing != "" {
			out = append(out, f)
		}
		cancel()
	}
	return out
}

func fine(thing, says string, args ...any) Finding {
	return Finding{Thing: thing, State: OK, Says: fmt.Sprintf(says, args...)}
}

func failed(thing string, err error, next string) Finding {
	says := err.Error()
	if e, ok := errors.AsType[*usersync.Error](err); ok && e.Err == nil {
		says = e.Message
	}
	return Finding{Thing: thing, State: Failed, Says: says, Next: next}
}

// place is a URL's host, without what must not be shown.
func place(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return "a URL that cannot be read"
	}
	return u.Host + strings.TrimSuffix(u.Path, "/")
}

func database(ctx context.Context, p Patient) Finding {
	const thing = "database"
	next := "Start PostgreSQL, and see that DATABASE_URL names it: its host, port, database, user and password."
	where := place(p.Config.DatabaseURL.Reveal())
	if p.Config.Embedded() {
		where, next = "the file in "+p.Config.DataDir, "Start the service once with `usersync serve`, which makes the file, or set DATA_DIR to where it is."
	}
	if p.Store == nil {
		return failed(thing, p.StoreError, next)
	}
	if err := p.Store.Ping(ctx); err != nil {
		return failed(thing, err, next)
	}
	return fine(thing, "%s answers", where)
}

func schema(ctx context.Context, p Patient) Finding {
	if p.Store == nil {
		return Finding{}
	}
	if err := p.Store.CheckMigrated(ctx); err != nil {
		return failed("schema", err, "Run `usersync migrate` with this release.")
	}
	return fine("schema", "is this release's")
}

// clockSlack is how far a clock may be off before it is said.
const clockSlack = 5 * time.Second

// clock compares the clock of this process with another.
func clock(thing, whose string, ask func() (time.Time, error)) Finding {
	began := time.Now()
	told, err := ask()
	if err != nil {
		return Finding{} // That it does not answer has been said.
	}
	ahead := began.Add(time.Since(began) / 2).Sub(told)
	if ahead.Abs() <= clockSlack {
		return fine(thing, "differs from %s by %s", whose, ahead.Abs().Round(time.Millisecond))
	}
	return Finding{Thing: thing, State: Warn, Says: fmt.Sprintf("this machine is %s ahead of %s", ahead.Round(time.Millisecond), whose),
		Next: "Set the clocks of all machines by NTP. The database's decides what is due; ids, logs and signatures tell the machine's."}
}

func databaseClock(ctx context.Context, p Patient) Finding {
	if p.Store == nil || p.Config.Embedded() {
		return Finding{}
	}
	return clock("clock", "the database's", func() (time.Time, error) { return p.Store.Now(ctx) })
}

func sealingKeys(ctx context.Context, p Patient) Finding {
	const thing = "sealing keys"
	if p.Store == nil || p.Store.CheckMigrated(ctx) != nil {
		return Finding{}
	}
	if p.Keys == nil {
		return Finding{Thing: thing, State: Failed, Says: "there are none", Next: "Bring back the file sealing-keys in DATA_DIR, from a backup, or set SEALING_KEYS."}
	}
	counts, err := rewrap.SealedKeys(ctx, p.Store)
	if err != nil {
		return failed(thing, err, "Look at the database.")
	}
	ids := p.Keys.IDs()
	sealed, lost, old := int64(0), int64(0), int64(0)
	for id, n := range counts {
		switch {
		case !slices.Contains(ids, id):
			lost += n
		case id != ids[0]:
			old += n
		}
		sealed += n
	}
	switch {
	case lost > 0:
		return Finding{Thing: thing, State: Failed, Says: fmt.Sprintf("%d of %d stored secrets are sealed by keys that SEALING_KEYS does not have", lost, sealed),
			Next: "Add the missing keys to the end of SEALING_KEYS. Without them, connections, webhooks and mail of their organizations need new secrets."}
	case old > 0:
		return Finding{Thing: thing, State: Warn, Says: fmt.Sprintf("%d of %d stored secrets are sealed by an older key", old, sealed),
			Next: "Run `usersync rewrap-keys`, then take the older keys out of SEALING_KEYS."}
	}
	return fine(thing, "open all %d stored secrets", sealed)
}

const nextRedis = "Start Redis, and see that REDIS_URL names it. Until then what is accepted waits in the database."

func redis(ctx context.Context, p Patient) Finding {
	const thing = "redis"
	if p.Queue == nil {
		return Finding{}
	}
	if err := p.Queue.Ping(ctx); err != nil {
		return failed(thing, err, nextRedis)
	}
	if err := p.Queue.Accepts(ctx); err != nil {
		return failed(thing, err, "Raise its maxmemory. Until then what is accepted waits in the database.")
	}
	return fine(thing, "answers and takes what is written")
}

func redisPolicy(ctx context.Context, p Patient) Finding {
	if p.Queue == nil || p.Queue.Ping(ctx) != nil {
		return Finding{}
	}
	if err := p.Queue.KeepsAll(ctx); err != nil {
		return Finding{Thing: "eviction", State: Warn, Says: err.Error(),
			Next: "Set maxmemory-policy to noeviction, and give Redis to this service alone. What it removes is done a minute later."}
	}
	return fine("eviction", "redis keeps what it is given")
}

func redisClock(ctx context.Context, p Patient) Finding {
	if p.Queue == nil {
		return Finding{}
	}
	return clock("clock of redis", "Redis's", func() (time.Time, error) { return p.Queue.Time(ctx) })
}

// widest is the shortest prefix of a network that holds something like one company.
const widest = 8

func egress(_ context.Context, p Patient) Finding {
	const thing = "egress"
	var wide []string
	for _, n := range p.Config.EgressAllow {
		if n.Bits() < widest {
			wide = append(wide, n.String())
		}
	}
	if len(wide) > 0 {
		return Finding{Thing: thing, State: Warn, Says: "EGRESS_ALLOW lets tenants' webhooks and connections reach every address of " + strings.Join(wide, ", "),
			Next: "Name only the networks whose servers tenants may call; with none, public addresses alone are reached."}
	}
	if metadata := netip.MustParseAddr("169.254.169.254"); slices.ContainsFunc(p.Config.EgressAllow, func(n netip.Prefix) bool { return n.Contains(metadata) }) {
		return Finding{Thing: thing, State: Warn, Says: "EGRESS_ALLOW lets tenants reach 169.254.169.254, where clouds hand out the machine's credentials",
			Next: "Take 169.254.0.0/16 out of EGRESS_ALLOW."}
	}
	if len(p.Config.EgressAllow) == 0 {
		return fine(thing, "reaches public addresses alone")
	}
	return fine(thing, "reaches public addresses and %d private networks", len(p.Config.EgressAllow))
}

// names looks a name up that is there for examples (RFC 2606), as those of platforms and
// receivers will be.
func names(ctx context.Context, _ Patient) Finding {
	const thing, name = "names", "example.com"
	if _, err := net.DefaultResolver.LookupHost(ctx, name); err != nil {
		return Finding{Thing: thing, State: Warn, Says: fmt.Sprintf("%s cannot be looked up: %s", name, err),
			Next: "Give this machine a name server (/etc/resolv.conf). Without one, no platform and no receiver is reached."}
	}
	return fine(thing, "are looked up")
}

// leastFree is the space below which a disk should be seen to, in bytes.
const leastFree = 1 << 30

func disk(_ context.Context, p Patient) Finding {
	const thing = "disk"
	if !p.Config.Embedded() {
		return Finding{} // It is the database's, elsewhere.
	}
	free, err := freeBytes(p.Config.DataDir)
	if err != nil {
		return Finding{} // That the folder is not there has been said.
	}
	if free < leastFree {
		return Finding{Thing: thing, State: Warn, Says: fmt.Sprintf("%d MiB are free in %s", free>>20, p.Config.DataDir),
			Next: "Make room: a full disk refuses all calls with 503."}
	}
	return fine(thing, "%d GiB are free in %s", free>>30, p.Config.DataDir)
}

// platforms tells of platforms that soon take no calls any more as this release makes them.
func platforms(_ context.Context, p Patient) Finding {
	const thing = "platforms"
	retiring := connector.Retiring(p.Platforms, time.Now())
	if len(retiring) == 0 {
		return fine(thing, "retire no version of their API that is called, as far as they have said")
	}
	var says []string
	for _, name := range slices.Sorted(maps.Keys(retiring)) {
		says = append(says, name+": "+retiring[name])
	}
	return Finding{Thing: thing, State: Warn, Says: strings.Join(says, " "),
		Next: "Install a newer release. From that day on, connections to these platforms are refused and disconnected."}
}
