package manage

import (
	"net/http"

	"usersync/internal/api"
	"usersync/internal/credit"
	"usersync/internal/management"
	"usersync/internal/usersync"
)

// balanceBody is how many credits an organization has.
type balanceBody struct {
	Balance int64 `json:"balance"`
}

func (h *Handlers) topUpCredits(c *api.Call) error {
	in, err := decode[management.TopUpInput](c)
	if err != nil {
		return err
	}
	entry, err := h.Management.TopUp(c.Context(), c.Actor, c.Param("id"), in)
	return c.Answer(http.StatusCreated, entry, err)
}

func (h *Handlers) getBalance(c *api.Call) error {
	n, err := h.Management.GetBalanceOf(c.Context(), c.Param("id"))
	return c.Answer(http.StatusOK, balanceBody{n}, err)
}

func (h *Handlers) listLedger(c *api.Call) error {
	load := func(before string, limit int) ([]credit.Entry, error) {
		return h.Management.ListLedgerOf(c.Context(), c.Param("id"), before, limit)
	}
	return page(c, usersync.PrefixLedger, load, idOfEntry)
}

func (h *Handlers) verifyCredits(c *api.Call) error {
	v, err := h.Management.VerifyCredits(c.Context(), c.Param("id"))
	return c.Answer(http.StatusOK, v, err)
}

func (h *Handlers) getOwnBalance(c *api.Call) error {
	n, err := h.Management.GetBalance(c.Context(), c.Caller.Org)
	return c.Answer(http.StatusOK, balanceBody{n}, err)
}

func (h *Handlers) listOwnLedger(c *api.Call) error {
	return ownPage(c, usersync.PrefixLedger, h.Management.ListLedger, idOfEntry)
}

func idOfEntry(e credit.Entry) string { return e.ID }
