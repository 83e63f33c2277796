package manage

import (
	"fmt"
	"net/http"
	"slices"

	"usersync/internal/api"
	"usersync/internal/delivery"
	"usersync/internal/management"
	"usersync/internal/usersync"
)

// deliveryBody is one message to one endpoint, with its attempts.
type deliveryBody struct {
	ID            string               `json:"id"`
	MessageID     string               `json:"messageId"`
	EndpointID    string               `json:"endpointId"`
	Type          delivery.MessageType `json:"type"`
	Status        delivery.Status      `json:"status"`
	Attempts      []delivery.Attempt   `json:"attempts"`
	NextAttemptAt usersync.Time        `json:"nextAttemptAt,omitzero"`
	CreatedAt     usersync.Time        `json:"createdAt"`
}

func newDeliveryBody(d delivery.Delivery) deliveryBody {
	return deliveryBody{
		ID: d.ID, MessageID: d.MessageID, EndpointID: d.EndpointID, Type: d.Type, Status: d.Status,
		Attempts: append([]delivery.Attempt{}, d.Attempts...), NextAttemptAt: usersync.Time{Time: d.NextAttemptAt}, CreatedAt: usersync.Time{Time: d.CreatedAt},
	}
}

func (h *Handlers) listDeliveries(c *api.Call) error {
	status, err := statusOfDeliveries(c)
	if err != nil {
		return err
	}
	load := func(before string, limit int) ([]deliveryBody, error) {
		list, err := h.Management.ListDeliveries(c.Context(), c.Caller.Org, c.Param("id"), status, before, limit)
		out := make([]deliveryBody, len(list))
		for i, d := range list {
			out[i] = newDeliveryBody(d)
		}
		return out, err
	}
	return page(c, usersync.PrefixDelivery, load, func(d deliveryBody) string { return d.ID })
}

// statusOfDeliveries reads the query parameter status; "" is every status.
func statusOfDeliveries(c *api.Call) (delivery.Status, error) {
	query, err := c.Query()
	if err != nil {
		return "", fmt.Errorf("read the query: %w", err)
	}
	status := delivery.Status(query.Get("status"))
	if status != "" && !slices.Contains(delivery.Statuses, status) {
		return "", api.Invalid("status", fmt.Sprintf("must be one of %v", delivery.Statuses))
	}
	return status, nil
}

func (h *Handlers) getDelivery(c *api.Call) error {
	d, err := h.Management.GetDelivery(c.Context(), c.Caller.Org, c.Param("id"))
	return c.Answer(http.StatusOK, newDeliveryBody(d), err)
}

func (h *Handlers) redeliverMessage(c *api.Call) error {
	d, err := h.Management.Redeliver(c.Context(), c.Actor, c.Caller.Org, c.Param("id"))
	return answerNewDelivery(c, d, err)
}

// answerNewDelivery answers with a delivery that is about to be attempted.
func answerNewDelivery(c *api.Call, d delivery.Delivery, err error) error {
	return accepted(c, "/v1/deliveries/"+d.ID, newDeliveryBody(d), err)
}

func (h *Handlers) recoverDeliveries(c *api.Call) error {
	in, err := decode[management.RecoverInput](c)
	if err != nil {
		return err
	}
	n, err := h.Management.RecoverDeliveries(c.Context(), c.Actor, c.Caller.Org, c.Param("id"), in)
	return c.Answer(http.StatusAccepted, map[string]int64{"deliveries": n}, err)
}
