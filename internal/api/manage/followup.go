package manage

import (
	"fmt"
	"io"
	"net/http"

	"usersync/internal/api"
	"usersync/internal/followup/catalog"
	"usersync/internal/management/followups"
	"usersync/internal/tenant"
)

// yamlTypes are the media types of YAML: that of RFC 9512, and what was usual before it.
// JSON is YAML too.
var yamlTypes = []string{"application/yaml", "application/x-yaml", "text/yaml", "application/json"}

const followUpsPath = "/v1/follow-ups"

func (h *Handlers) followUps() []api.Route {
	const one = followUpsPath + "/:id"
	return []api.Route{
		{Method: http.MethodPost, Path: followUpsPath, Scope: tenant.ScopeManage, Summary: "Makes a follow-up.", Handler: h.createFollowUp},
		{Method: http.MethodGet, Path: followUpsPath, Summary: "Lists the follow-ups, newest first. Scope: read or manage.", Handler: reading(h.listFollowUps), Query: api.PageQuery()},
		{Method: http.MethodGet, Path: followUpsPath + "/export", Summary: "Gives all follow-ups as YAML. Scope: read or manage.", Handler: reading(h.exportFollowUps)},
		{Method: http.MethodPost, Path: followUpsPath + "/import", Scope: tenant.ScopeManage, Summary: "Takes follow-ups as YAML, all or none.", MediaTypes: yamlTypes, Handler: api.Once(h.importFollowUps)},
		{Method: http.MethodGet, Path: one, Summary: "Shows a follow-up. Scope: read or manage.", Handler: reading(h.getFollowUp)},
		{Method: http.MethodPatch, Path: one, Scope: tenant.ScopeManage, Summary: "Changes the fields that are sent; a changed definition is a new version.", Handler: h.updateFollowUp},
		{Method: http.MethodDelete, Path: one, Scope: tenant.ScopeManage, Summary: "Deletes a follow-up.", Handler: h.deleteFollowUp},
		{Method: http.MethodPost, Path: one + "/pause", Scope: tenant.ScopeManage, Summary: "Has it be set off by no event.", Handler: bodiless(h.pauseFollowUp)},
		{Method: http.MethodPost, Path: one + "/resume", Scope: tenant.ScopeManage, Summary: "Has it be set off again.", Handler: bodiless(h.resumeFollowUp)},
		{Method: http.MethodGet, Path: one + "/versions", Summary: "Shows the definitions that it has had, newest first. Scope: read or manage.", Handler: reading(h.listFollowUpVersions)},
		{Method: http.MethodPost, Path: one + "/dry-run", Scope: tenant.ScopeManage, Summary: "Shows what it would do about a sample event.", Handler: h.rehearseFollowUp},
	}
}

func (h *Handlers) createFollowUp(c *api.Call) error {
	in, err := decode[followups.Input](c)
	if err != nil {
		return err
	}
	f, err := h.FollowUps.Create(c.Context(), c.Actor, c.Caller.Org, in)
	return created(c, "/v1/follow-ups/"+f.ID, f, err)
}

func (h *Handlers) listFollowUps(c *api.Call) error {
	return ownPage(c, catalog.Prefix, h.FollowUps.List, func(f catalog.FollowUp) string { return f.ID })
}

func (h *Handlers) getFollowUp(c *api.Call) error {
	f, err := h.FollowUps.Get(c.Context(), c.Caller.Org, c.Param("id"))
	return c.Answer(http.StatusOK, f, err)
}

func (h *Handlers) updateFollowUp(c *api.Call) error {
	in, err := decode[followups.Input](c)
	if err != nil {
		return err
	}
	f, err := h.FollowUps.Update(c.Context(), c.Actor, c.Caller.Org, c.Param("id"), in)
	return c.Answer(http.StatusOK, f, err)
}

func (h *Handlers) deleteFollowUp(c *api.Call) error {
	return removed(c, h.FollowUps.Delete(c.Context(), c.Actor, c.Caller.Org, c.Param("id")))
}

func (h *Handlers) pauseFollowUp(c *api.Call) error {
	f, err := h.FollowUps.Pause(c.Context(), c.Actor, c.Caller.Org, c.Param("id"))
	return c.Answer(http.StatusOK, f, err)
}

func (h *Handlers) resumeFollowUp(c *api.Call) error {
	f, err := h.FollowUps.Resume(c.Context(), c.Actor, c.Caller.Org, c.Param("id"))
	return c.Answer(http.StatusOK, f, err)
}

// versionList is all versions at once: there are at most 100.
type versionList struct {
	Items []catalog.Version `json:"items"`
}

func (h *Handlers) listFollowUpVersions(c *api.Call) error {
	items, err := h.FollowUps.Versions(c.Context(), c.Caller.Org, c.Param("id"))
	return c.Answer(http.StatusOK, versionList{items}, err)
}

// rehearsal is the body of a dry run.
type rehearsal struct {
	Event followups.Sample `json:"event"`
}

func (h *Handlers) rehearseFollowUp(c *api.Call) error {
	in, err := decode[rehearsal](c)
	if err != nil {
		return err
	}
	out, err := h.FollowUps.Rehearse(c.Context(), c.Caller.Org, c.Param("id"), in.Event)
	return c.Answer(http.StatusOK, out, err)
}

func (h *Handlers) exportFollowUps(c *api.Call) error {
	c.Header().Set("Content-Disposition", `attachment; filename="follow-ups.yaml"`)
	return c.WriteStream(yamlTypes[0], func(w io.Writer) error { return h.FollowUps.Export(c.Context(), c.Caller.Org, w) })
}

func (h *Handlers) importFollowUps(c *api.Call) error {
	body, err := c.Body()
	if err != nil {
		return fmt.Errorf("read the body: %w", err)
	}
	text, err := followups.FromYAML(body)
	if err != nil {
		return fmt.Errorf("read the YAML: %w", err)
	}
	var in followups.Document
	if err := api.DecodeJSON(text, &in); err != nil {
		return fmt.Errorf("read the document: %w", err)
	}
	out, err := h.FollowUps.Import(c.Context(), c.Actor, c.Caller.Org, in)
	return c.Answer(http.StatusOK, out, err)
}
