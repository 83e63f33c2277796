package console

import (
	"fmt"
	"time"

	"usersync/internal/api"
	"usersync/internal/console/ui"
	"usersync/internal/credit"
	"usersync/internal/request"
	"usersync/internal/usersync"
)

func (h *Handlers) creditPages() []api.Route {
	return []api.Route{h.page("/credits", h.showCredits, read, manage)}
}

// creditPage is what the page of credits shows.
type creditPage struct {
	ui.Pager
	balance, low int64
	entries      []credit.Entry
	// waiting is how many requests wait for credits, up to maxCounted.
	waiting  int
	forecast string
	operator bool
	id       string
}

const (
	// maxCounted bounds what is counted item by item.
	maxCounted = 100
	// spentSample bounds the entries that the rate is taken of.
	spentSample = 500
)

func (h *Handlers) showCredits(c *api.Call) (view, error) {
	if _, err := known(c); err != nil {
		return view{}, err
	}
	l, err := readListing(c, usersync.PrefixLedger)
	if err != nil {
		return view{}, err
	}
	ctx, org := c.Context(), c.Caller.Org
	p := creditPage{low: c.Caller.Organization.Settings.LowCredit(), operator: visitOf(c).operator, id: org.ID()}
	if p.balance, err = h.Management.GetBalance(ctx, org); err != nil {
		return view{}, err
	}
	list, err := h.Management.ListLedger(ctx, org, l.before, pageSize+1)
	if err != nil {
		return view{}, err
	}
	newest, err := h.Management.ListLedger(ctx, org, "", spentSample)
	if err != nil {
		return view{}, err
	}
	if may(c, read) {
		waiting, err := h.Management.ListRequests(ctx, org, request.Filter{Status: request.AwaitingCredits, Limit: maxCounted})
		if err != nil {
			return view{}, err
		}
		p.waiting = len(waiting)
	}
	p.forecast = forecast(p.balance, newest, time.Now())
	p.entries = cut(&l, list, func(e credit.Entry) string { return e.ID })
	p.Pager = l.Pager
	return view{title: "Credits", section: "Credits", still: creditsHead(p), live: creditsView(p)}, nil
}

// forecast says when a balance runs out at the rate of the last day, by entries that are
// newest first.
func forecast(balance int64, entries []credit.Entry, now time.Time) string {
	var spent int64
	from := now
	for _, e := range entries {
		if now.Sub(e.CreatedAt.Time) > 24*time.Hour {
			break
		}
		if e.Kind == credit.EntryCharge {
			spent -= e.Amount
		}
		from = e.CreatedAt.Time
	}
	over := now.Sub(from)
	if len(entries) < spentSample {
		over = 24 * time.Hour
	}
	switch {
	case balance == 0:
		return "There are none left."
	case spent == 0 || over <= 0:
		return "Nothing was spent in the last day."
	}
	left := time.Duration(float64(balance) / float64(spent) * float64(over))
	return fmt.Sprintf("At today's rate they last for %s.", ui.Took(min(left, 10_000*time.Hour)))
}
