package scim

import (
	"fmt"
	"net/http"

	"usersync/internal/api"
	"usersync/internal/provision"
	"usersync/internal/scim"
)

// listGroups is GET /scim/v2/Groups.
func listGroups(c *api.Call) error {
	shown, err := choice(c)
	if err != nil {
		return err
	}
	q, err := query(c, scim.Group)
	if err != nil {
		return err
	}
	page, err := provision.FindGroups(c.Context(), c.Caller.Org, q, shown.Shows("members"))
	if err != nil {
		return fmt.Errorf("find groups: %w", err)
	}
	resources := make([]map[string]any, len(page.Items))
	for i, g := range page.Items {
		resources[i] = scim.Group.Show(g.Resource(), shown)
	}
	return answerList(c, page.Total, q.Start, resources)
}

// groupID returns the id of the group in the path.
func groupID(c *api.Call) (string, error) {
	return resourceID(c, provision.PrefixGroup, provision.ErrNoGroup)
}

func readGroup(c *api.Call) (scim.Resource, error) {
	body, err := c.Body()
	if err != nil {
		return nil, fmt.Errorf("read the body: %w", err)
	}
	return scim.Group.Parse(body)
}

// createGroup is POST /scim/v2/Groups.
func createGroup(c *api.Call) error {
	r, err := readGroup(c)
	if err != nil {
		return err
	}
	g, err := provision.CreateGroup(c.Context(), by(c), r)
	if err != nil {
		return fmt.Errorf("provision the group: %w", err)
	}
	shown, err := choice(c)
	if err != nil {
		return err
	}
	c.Header().Set("Location", groupsPath+"/"+g.ID())
	return answer(c, http.StatusCreated, scim.Group.Show(g.Resource(), shown))
}

// getGroup is GET /scim/v2/Groups/{id}.
func getGroup(c *api.Call) error {
	id, err := groupID(c)
	if err != nil {
		return err
	}
	return answerGroup(c, id)
}

// answerGroup answers with a group as it is now.
func answerGroup(c *api.Call, id string) error {
	shown, err := choice(c)
	if err != nil {
		return err
	}
	g, err := provision.GetGroup(c.Context(), c.Caller.Org, id, shown.Shows("members"))
	if err != nil {
		return fmt.Errorf("read the group: %w", err)
	}
	return answer(c, http.StatusOK, scim.Group.Show(g.Resource(), shown))
}

// replaceGroup is PUT /scim/v2/Groups/{id}.
func replaceGroup(c *api.Call) error {
	id, err := groupID(c)
	if err != nil {
		return err
	}
	r, err := readGroup(c)
	if err != nil {
		return err
	}
	if err := provision.ChangeGroup(c.Context(), by(c), id, func(scim.Resource) (scim.Resource, error) { return r, nil }); err != nil {
		return fmt.Errorf("replace the group: %w", err)
	}
	return answerGroup(c, id)
}

// patchGroup is PATCH /scim/v2/Groups/{id}. The answer has no body, since a group may be
// large: Entra ID asks for that.
func patchGroup(c *api.Call) error {
	id, err := groupID(c)
	if err != nil {
		return err
	}
	operations, err := readPatch(c)
	if err != nil {
		return err
	}
	err = provision.ChangeGroup(c.Context(), by(c), id, func(now scim.Resource) (scim.Resource, error) {
		return scim.Group.Patch(now, operations)
	})
	if err != nil {
		return fmt.Errorf("change the group: %w", err)
	}
	return c.NoContent(http.StatusNoContent)
}

// deleteGroup is DELETE /scim/v2/Groups/{id}.
func deleteGroup(c *api.Call) error {
	id, err := groupID(c)
	if err != nil {
		return err
	}
	if err := provision.DeleteGroup(c.Context(), by(c), id); err != nil {
		return fmt.Errorf("remove the group: %w", err)
	}
	return c.NoContent(http.StatusNoContent)
}
