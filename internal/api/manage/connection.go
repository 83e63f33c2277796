package manage

import (
	"encoding/json"
	"net/http"

	"usersync/internal/api"
	"usersync/internal/connector"
	"usersync/internal/management"
	"usersync/internal/platform"
	"usersync/internal/usersync"
)

// connection is a connection with its credentials, the secrets among them
// masked.
type connection struct {
	platform.Connection
	Credentials json.RawMessage `json:"credentials"`
}

func (o Options) shownConnection(c platform.Connection) (connection, error) {
	credentials, err := o.Admin.Shown(c)
	return connection{c, credentials}, err
}

// answerConnection answers with a connection as it may be read.
func (o Options) answerConnection(c *api.Call, one platform.Connection, err error) error {
	if err != nil {
		return err
	}
	shown, err := o.shownConnection(one)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, shown)
}

// readChange reads what a call says of a connection, and how it is to be proved.
func readChange(c *api.Call) (in management.ConnectionInput, proof management.Proof, err error) {
	query, err := c.Query()
	if err != nil {
		return in, proof, err
	}
	switch query.Get("check") {
	case "", "true":
		proof = management.AtPlatform
	case "false":
		proof = management.ByForm
	default:
		return in, proof, api.Invalid("check", "must be true or false")
	}
	return in, proof, c.Decode(&in)
}

func (o Options) createConnection(c *api.Call) error {
	in, proof, err := readChange(c)
	if err != nil {
		return err
	}
	made, err := o.Admin.CreateConnection(c.Context(), c.Actor, c.Caller.Org, in, proof)
	if err != nil {
		return err
	}
	shown, err := o.shownConnection(made)
	if err != nil {
		return err
	}
	return created(c, "/v1/connections/"+made.ID, shown)
}

func (o Options) listConnections(c *api.Call) error {
	load := func(before string, limit int) ([]connection, error) {
		list, err := platform.ListConnections(c.Context(), c.Caller.Org, before, limit)
		out := make([]connection, len(list))
		for i, one := range list {
			if out[i], err = o.shownConnection(one); err != nil {
				return nil, err
			}
		}
		return out, err
	}
	return page(c, usersync.PrefixConnection, load, func(one connection) string { return one.ID })
}

func (o Options) showConnection(c *api.Call) error {
	one, err := platform.GetConnection(c.Context(), c.Caller.Org, c.Param("id"))
	return o.answerConnection(c, one, err)
}

func (o Options) updateConnection(c *api.Call) error {
	in, proof, err := readChange(c)
	if err != nil {
		return err
	}
	one, err := o.Admin.UpdateConnection(c.Context(), c.Actor, c.Caller.Org, c.Param("id"), in, proof)
	o.Wake()
	return o.answerConnection(c, one, err)
}

func (o Options) deleteConnection(c *api.Call) error {
	if err := o.Admin.DeleteConnection(c.Context(), c.Actor, c.Caller.Org, c.Param("id")); err != nil {
		return err
	}
	o.Wake()
	return c.NoContent(http.StatusNoContent)
}

// checkedConnection is how a check went.
type checkedConnection struct {
	management.Checked
	Connection connection `json:"connection"`
}

func (o Options) checkConnection(c *api.Call) error {
	if err := c.Decode(new(nothing)); err != nil {
		return err
	}
	checked, err := o.Admin.CheckConnection(c.Context(), c.Actor, c.Caller.Org, c.Param("id"))
	if err != nil {
		return err
	}
	o.Wake()
	shown, err := o.shownConnection(checked.Connection)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, checkedConnection{checked, shown})
}

func (o Options) pauseConnection(c *api.Call) error {
	if err := c.Decode(new(nothing)); err != nil {
		return err
	}
	one, err := o.Admin.PauseConnection(c.Context(), c.Actor, c.Caller.Org, c.Param("id"))
	o.Wake()
	return o.answerConnection(c, one, err)
}

func (o Options) resumeConnection(c *api.Call) error {
	if err := c.Decode(new(nothing)); err != nil {
		return err
	}
	one, err := o.Admin.ResumeConnection(c.Context(), c.Actor, c.Caller.Org, c.Param("id"))
	o.Wake()
	return o.answerConnection(c, one, err)
}

// platformBody is what connections can be made to.
type platformBody struct {
	Name        string            `json:"name"`
	Title       string            `json:"title"`
	Credentials []connector.Field `json:"credentials"`
	Settings    []connector.Field `json:"settings"`
}

func (o Options) listPlatforms(c *api.Call) error {
	out := api.List[platformBody]{Items: []platformBody{}}
	for _, k := range o.Admin.Platforms {
		out.Items = append(out.Items, platformBody{k.Name, k.Title, append([]connector.Field{}, k.Credentials...), k.Settings})
	}
	return c.JSON(http.StatusOK, out)
}
