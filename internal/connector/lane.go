package connector

import (
	"net/http"
	"net/url"
	"strings"

	"usersync/internal/queue"
)

// Lane is a part of a platform's API whose calls the platform counts by themselves. Its calls count in no other limit, and a pause
// that they cause holds for them alone.
type Lane struct {
	// Name tells the lanes of a platform apart.
	Name string
	// Path is what the paths of its calls begin with, below the address of the API.
	Path string
	Limits
}

// LaneOf returns the lane of the calls with a path below the address of the API; ok is
// false for all others.
func (k Platform) LaneOf(path string) (l Lane, ok bool) {
	for _, one := range k.Lanes {
		if strings.HasPrefix(path, one.Path) {
			return one, true
		}
	}
	return Lane{}, false
}

// counted is an account as the calls of a part of it are counted.
type counted struct {
	account queue.AccountKey
	limits  Limits
}

// lanes returns how the calls of each lane are counted, by its name. What the owner sets
// bounds them too.
func (c *Client) lanes(k Platform, common Common, cfg Config) map[string]counted {
	out := map[string]counted{}
	for _, l := range k.Lanes {
		limits := l.Limits
		if common.MaxConcurrent > 0 && (limits.Concurrent == 0 || common.MaxConcurrent < limits.Concurrent) {
			limits.Concurrent = common.MaxConcurrent
		}
		if common.CallsPerSecond > 0 && common.CallsPerSecond*spared < limits.PerSecond {
			limits.PerSecond, limits.Burst = common.CallsPerSecond*spared, 1
		}
		out[l.Name] = counted{k.account(c.Organization, common, cfg, l.Name), limits}
	}
	return out
}

// countedAs is how a call is counted.
func (c *Client) countedAs(req *http.Request) counted {
	path := req.URL.Path
	if c.base != "" {
		if base, err := url.Parse(c.base); err == nil {
			path = strings.TrimPrefix(path, strings.TrimRight(base.Path, "/"))
		}
	}
	if l, ok := c.platform.LaneOf(path); ok {
		return c.byLane[l.Name]
	}
	return counted{c.account, c.limits}
}
