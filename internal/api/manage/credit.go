package manage

import (
	"net/http"

	"usersync/internal/api"
	"usersync/internal/credit"
	"usersync/internal/management"
	"usersync/internal/store"
	"usersync/internal/usersync"
)

func (o Options) topUp(c *api.Call) error {
	var in management.TopUpInput
	if err := c.Decode(&in); err != nil {
		return err
	}
	entry, err := o.Admin.TopUp(c.Context(), c.Actor, c.Param("id"), in)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusCreated, entry)
}

func (o Options) showBalance(c *api.Call) error {
	org, err := o.organization(c)
	if err != nil {
		return err
	}
	return balance(c, org)
}

func (o Options) listLedger(c *api.Call) error {
	org, err := o.organization(c)
	if err != nil {
		return err
	}
	return ledger(c, org)
}

func (o Options) verifyCredits(c *api.Call) error {
	if err := c.Decode(new(nothing)); err != nil {
		return err
	}
	v, err := credit.Verify(c.Context(), o.Admin.Store.Org(c.Param("id")))
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, v)
}

// nothing is the body of a call that takes none: every field is unknown.
type nothing struct{}

func showOwnBalance(c *api.Call) error { return balance(c, c.Caller.Org) }

func listOwnLedger(c *api.Call) error { return ledger(c, c.Caller.Org) }

func balance(c *api.Call, org *store.Org) error {
	n, err := credit.Balance(c.Context(), org)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, map[string]int64{"balance": n})
}

func ledger(c *api.Call, org *store.Org) error {
	load := func(before string, limit int) ([]credit.Entry, error) {
		return credit.Ledger(c.Context(), org, before, limit)
	}
	return page(c, usersync.PrefixLedger, load, func(e credit.Entry) string { return e.ID })
}
