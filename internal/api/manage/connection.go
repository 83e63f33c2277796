package manage

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"usersync/internal/api"
	"usersync/internal/connector"
	"usersync/internal/management"
	"usersync/internal/platform"
	"usersync/internal/usersync"
)

// connectionBody is a connection with its credentials, the secrets among them
// masked.
type connectionBody struct {
	platform.Connection
	Credentials json.RawMessage `json:"credentials"`
}

// viewOfConnection returns a connection with its secrets masked.
func (h *Handlers) viewOfConnection(one platform.Connection) (connectionBody, error) {
	credentials, err := h.Management.Shown(one)
	if err != nil {
		return connectionBody{}, fmt.Errorf("mask the credentials: %w", err)
	}
	return connectionBody{one, credentials}, nil
}

// answerConnection answers with a connection with its secrets masked.
func (h *Handlers) answerConnection(c *api.Call, one platform.Connection, err error) error {
	return answerView(c, one, err, h.viewOfConnection)
}

// readConnectionInput reads what a call says of a connection, and how it is to be
// proved.
func readConnectionInput(c *api.Call) (in management.ConnectionInput, proof management.Proof, err error) {
	query, err := c.Query()
	if err != nil {
		return in, proof, fmt.Errorf("read the query: %w", err)
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

func (h *Handlers) createConnection(c *api.Call) error {
	in, proof, err := readConnectionInput(c)
	if err != nil {
		return err
	}
	made, err := h.Management.CreateConnection(c.Context(), c.Actor, c.Caller.Org, in, proof)
	body, err := convert(made, err, h.viewOfConnection)
	return created(c, "/v1/connections/"+made.ID, body, err)
}

func (h *Handlers) listConnections(c *api.Call) error {
	list := views(h.Management.ListConnections, h.viewOfConnection)
	return ownPage(c, usersync.PrefixConnection, list, func(one connectionBody) string { return one.ID })
}

func (h *Handlers) getConnection(c *api.Call) error {
	one, err := h.Management.GetConnection(c.Context(), c.Caller.Org, c.Param("id"))
	return h.answerConnection(c, one, err)
}

func (h *Handlers) updateConnection(c *api.Call) error {
	in, proof, err := readConnectionInput(c)
	if err != nil {
		return err
	}
	one, err := h.Management.UpdateConnection(c.Context(), c.Actor, c.Caller.Org, c.Param("id"), in, proof)
	return h.answerConnection(c, one, err)
}

func (h *Handlers) deleteConnection(c *api.Call) error {
	return removed(c, h.Management.DeleteConnection(c.Context(), c.Actor, c.Caller.Org, c.Param("id")))
}

// checkedBody is how the check of a connection went.
type checkedBody struct {
	management.Checked
	Connection connectionBody `json:"connection"`
}

func (h *Handlers) checkConnection(c *api.Call) error {
	checked, err := h.Management.CheckConnection(c.Context(), c.Actor, c.Caller.Org, c.Param("id"))
	body, err := convert(checked.Connection, err, h.viewOfConnection)
	return c.Answer(http.StatusOK, checkedBody{checked, body}, err)
}

func (h *Handlers) pauseConnection(c *api.Call) error {
	one, err := h.Management.PauseConnection(c.Context(), c.Actor, c.Caller.Org, c.Param("id"))
	return h.answerConnection(c, one, err)
}

func (h *Handlers) resumeConnection(c *api.Call) error {
	one, err := h.Management.ResumeConnection(c.Context(), c.Actor, c.Caller.Org, c.Param("id"))
	return h.answerConnection(c, one, err)
}

// platformBody is what connections can be made to.
type platformBody struct {
	Name        string            `json:"name"`
	Title       string            `json:"title"`
	Credentials []connector.Field `json:"credentials"`
	Settings    []connector.Field `json:"settings"`
	// Revision is nil on a platform that does not retire versions of its API.
	Revision *revisionBody `json:"revision,omitempty"`
}

// revisionBody is the version of a platform's API that is called.
type revisionBody struct {
	Name    string `json:"name"`
	Retires string `json:"retires"` // a day
	Warning string `json:"warning,omitempty"`
}

func viewOfRevision(r connector.Revision) *revisionBody {
	if r.Name == "" {
		return nil
	}
	return &revisionBody{r.Name, r.Retires.Format(time.DateOnly), r.Warning(time.Now())}
}

// onePage has all there is on one page: the platforms, which are few and the program's
// own, and the fields of a platform, since who maps them wants to see all.
type onePage[T any] struct {
	Items      []T    `json:"items"`
	NextCursor string `json:"nextCursor"`
}

func (h *Handlers) listPlatforms(c *api.Call) error {
	out := onePage[platformBody]{Items: []platformBody{}}
	for _, k := range h.Management.Platforms {
		out.Items = append(out.Items, platformBody{k.Name, k.Title, append([]connector.Field{}, k.Credentials...), k.Settings, viewOfRevision(k.Revision)})
	}
	return c.JSON(http.StatusOK, out)
}
