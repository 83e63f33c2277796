package scim

import (
	"fmt"
	"net/http"

	"usersync/internal/api"
	"usersync/internal/provision"
	"usersync/internal/scim"
	"usersync/internal/usersync"
)

// listUsers is GET /scim/v2/Users.
func listUsers(c *api.Call) error {
	shown, err := choice(c)
	if err != nil {
		return err
	}
	q, err := query(c, scim.User)
	if err != nil {
		return err
	}
	page, err := provision.FindUsers(c.Context(), c.Caller.Org, q)
	if err != nil {
		return fmt.Errorf("find users: %w", err)
	}
	resources := make([]map[string]any, len(page.Items))
	for i, u := range page.Items {
		resources[i] = scim.User.Show(u.Resource(), shown)
	}
	return answerList(c, page.Total, q.Start, resources)
}

// userID returns the id of the user in the path.
func userID(c *api.Call) (string, error) {
	return resourceID(c, usersync.PrefixUser, provision.ErrNoUser)
}

// answerUser answers with a user, or the error that kept a change from being made.
func answerUser(c *api.Call, status int, u provision.User, err error) error {
	if err != nil {
		return err
	}
	shown, err := choice(c)
	if err != nil {
		return err
	}
	return answer(c, status, scim.User.Show(u.Resource(), shown))
}

// readUser reads the user of a body.
func readUser(c *api.Call) (scim.Resource, error) {
	body, err := c.Body()
	if err != nil {
		return nil, fmt.Errorf("read the body: %w", err)
	}
	return scim.User.Parse(body)
}

// createUser is POST /scim/v2/Users.
func createUser(c *api.Call) error {
	r, err := readUser(c)
	if err != nil {
		return err
	}
	u, err := provision.CreateUser(c.Context(), by(c), r)
	if err != nil {
		return fmt.Errorf("provision the user: %w", err)
	}
	c.Header().Set("Location", usersPath+"/"+u.ID())
	return answerUser(c, http.StatusCreated, u, nil)
}

// getUser is GET /scim/v2/Users/{id}.
func getUser(c *api.Call) error {
	id, err := userID(c)
	if err != nil {
		return err
	}
	u, err := provision.GetUser(c.Context(), c.Caller.Org, id)
	return answerUser(c, http.StatusOK, u, err)
}

// replaceUser is PUT /scim/v2/Users/{id}. Where the body does not say whether the user is
// active, that stays as it is.
func replaceUser(c *api.Call) error {
	id, err := userID(c)
	if err != nil {
		return err
	}
	r, err := readUser(c)
	if err != nil {
		return err
	}
	u, err := provision.ChangeUser(c.Context(), by(c), id, func(scim.Resource) (scim.Resource, error) { return r.Clone(), nil })
	return answerUser(c, http.StatusOK, u, err)
}

// patchUser is PATCH /scim/v2/Users/{id}.
func patchUser(c *api.Call) error {
	id, err := userID(c)
	if err != nil {
		return err
	}
	operations, err := readPatch(c)
	if err != nil {
		return err
	}
	u, err := provision.ChangeUser(c.Context(), by(c), id, func(now scim.Resource) (scim.Resource, error) {
		return scim.User.Patch(now, operations)
	})
	return answerUser(c, http.StatusOK, u, err)
}

func readPatch(c *api.Call) ([]scim.Operation, error) {
	body, err := c.Body()
	if err != nil {
		return nil, fmt.Errorf("read the body: %w", err)
	}
	return scim.ParsePatch(body)
}

// deleteUser is DELETE /scim/v2/Users/{id}.
func deleteUser(c *api.Call) error {
	id, err := userID(c)
	if err != nil {
		return err
	}
	if err := provision.DeleteUser(c.Context(), by(c), id); err != nil {
		return fmt.Errorf("forget the user: %w", err)
	}
	return c.NoContent(http.StatusNoContent)
}
