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

// webhookDelivery is one message to one endpoint, with its attempts.
type webhookDelivery struct {
	ID            string               `json:"id"`
	MessageID     string               `json:"messageId"`
	EndpointID    string               `json:"endpointId"`
	Type          delivery.MessageType `json:"type"`
	Status        delivery.Status      `json:"status"`
	Attempts      []delivery.Attempt   `json:"attempts"`
	NextAttemptAt usersync.Time        `json:"nextAttemptAt,omitzero"`
	CreatedAt     usersync.Time        `json:"createdAt"`
}

func showDelivery(d delivery.Delivery) webhookDelivery {
	return webhookDelivery{
		ID: d.ID, MessageID: d.MessageID, EndpointID: d.EndpointID, Type: d.Type, Status: d.Status,
		Attempts: append([]delivery.Attempt{}, d.Attempts...), NextAttemptAt: usersync.Time{Time: d.NextAttemptAt}, CreatedAt: usersync.Time{Time: d.CreatedAt},
	}
}

func listDeliveries(c *api.Call) error {
	status, err := statusOfDeliveries(c)
	if err != nil {
		return err
	}
	org, id := c.Caller.Org, c.Param("id")
	if _, err := delivery.GetEndpoint(c.Context(), org, id); err != nil {
		return err
	}
	load := func(before string, limit int) ([]webhookDelivery, error) {
		list, err := delivery.List(c.Context(), org, id, status, before, limit)
		out := make([]webhookDelivery, len(list))
		for i, d := range list {
			out[i] = showDelivery(d)
		}
		return out, err
	}
	return page(c, usersync.PrefixDelivery, load, func(d webhookDelivery) string { return d.ID })
}

// statusOfDeliveries reads the query parameter status; "" is every status.
func statusOfDeliveries(c *api.Call) (delivery.Status, error) {
	query, err := c.Query()
	if err != nil {
		return "", err
	}
	status := delivery.Status(query.Get("status"))
	if status != "" && !slices.Contains(delivery.Statuses, status) {
		return "", api.Invalid("status", fmt.Sprintf("must be one of %v", delivery.Statuses))
	}
	return status, nil
}

func getDelivery(c *api.Call) error {
	d, err := delivery.Get(c.Context(), c.Caller.Org, c.Param("id"))
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, showDelivery(d))
}

func (o Options) testEndpoint(c *api.Call) error {
	if err := c.Decode(new(nothing)); err != nil {
		return err
	}
	d, err := delivery.Test(c.Context(), c.Caller.Org, c.Actor, c.Param("id"), c.Traceparent())
	return o.sending(c, d, err)
}

func (o Options) redeliver(c *api.Call) error {
	if err := c.Decode(new(nothing)); err != nil {
		return err
	}
	d, err := delivery.Redeliver(c.Context(), c.Caller.Org, c.Actor, c.Param("id"))
	return o.sending(c, d, err)
}

// sending answers with a delivery that is on its way.
func (o Options) sending(c *api.Call, d delivery.Delivery, err error) error {
	if err != nil {
		return err
	}
	o.Wake()
	c.Header().Set("Location", "/v1/deliveries/"+d.ID)
	return c.JSON(http.StatusAccepted, showDelivery(d))
}

func (o Options) recoverDeliveries(c *api.Call) error {
	var in management.RecoverInput
	if err := c.Decode(&in); err != nil {
		return err
	}
	n, err := o.Admin.Recover(c.Context(), c.Actor, c.Caller.Org, c.Param("id"), in)
	if err != nil {
		return err
	}
	o.Wake()
	return c.JSON(http.StatusAccepted, map[string]int64{"deliveries": n})
}
